#!/bin/bash
# ruby: strings, hashes, threads, fork and the garbage collector, which also compacts.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need ruby

cat >"$work/program.rb" <<'RUBY'
random = Random.new(7)
words = Array.new(60_000) { |i| (97 + random.rand(26)).chr * random.rand(200) + i.to_s }
puts words.sort.first(3).inspect, words.sum(&:length)
counts = words.group_by { |w| w[0] }.transform_values(&:size)
puts counts.sort.inspect
sums = 8.times.map do |t|
  Thread.new do
    kept = []
    30_000.times { |i| kept << ("x" * (i * t % 500)); kept.shift if kept.size > 1000 }
    kept.sum(&:length)
  end
end
puts sums.map(&:value).inspect
GC.compact if GC.respond_to?(:compact)
child = fork do
  GC.start
  numbers = (1..30_000).map { |i| (i * i).to_s * 3 }
  exit(numbers.size == 30_000 ? 0 : 1)
end
Process.wait(child)
puts $?.exitstatus
puts Marshal.load(Marshal.dump(words)).hash == words.hash
puts words.join(" ").gsub(/(\w)\1{5,}/) { |m| m.length.to_s }.sum
puts "the end"
RUBY

compare ruby ruby "$work/program.rb"
expect_success ruby
grep -q '^the end' "$work/ruby/glibc/out" || fail "the script did not run to its end"
