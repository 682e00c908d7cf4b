"""What bench/compare and bench/programs are made of: variants, allocators, runs, figures, tables and results."""
