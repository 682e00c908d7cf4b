/*
 * Looks at a program the way the kernel and the dynamic linker will: PATH, "#!" lines, the ELF header and the table of
 * dynamic symbols.  Everything read from a file is checked against its size.
 */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The kernel follows as many "#!" lines. */
#define SCRIPTS_MAX 4

/* A file in memory, for reading. */
struct image {
	const unsigned char *bytes;
	size_t size;
};

/* ---- Finding it ---- */

/* An error number, 0 if this file can be run. */
static int try_file(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return errno == ENOTDIR ? ENOENT : errno;
	if (!S_ISREG(status.st_mode))
		return EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

static int set_path(char *path, const char *directory, size_t length, const char *name)
{
	int written = snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, directory, length != 0 ? "/" : "", name);

	return written >= PATH_MAX ? ENAMETOOLONG : 0;
}

/* As execvp(): an empty part of PATH is the working directory, and what may not be run is passed over. */
static int find(char *path, const char *name)
{
	const char *rest = getenv("PATH");
	int error, best = ENOENT;

	if (strchr(name, '/') != NULL || *name == '\0') {
		error = set_path(path, "", 0, name);
		return error != 0 ? error : try_file(path);
	}
	if (rest == NULL)
		rest = "/bin:/usr/bin";
	for (;;) {
		size_t length = strcspn(rest, ":");

		error = set_path(path, rest, length, name);
		if (error == 0)
			error = try_file(path);
		if (error == 0)
			return 0;
		if (error == EACCES)
			best = EACCES;
		if (rest[length] == '\0')
			return best;
		rest += length + 1;
	}
}

/* ---- Reading it ---- */

static bool open_image(struct image *image, const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *bytes = MAP_FAILED;

	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && status.st_size > 0)
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		return false;
	image->bytes = bytes;
	image->size = (size_t)status.st_size;
	return true;
}

static void close_image(struct image *image)
{
	munmap((void *)(uintptr_t)image->bytes, image->size);
}

/* Part of the file, or NULL if it is not all there or not aligned for what it holds. */
static const void *part_of(const struct image *image, uint64_t offset, uint64_t count, size_t bytes, size_t alignment)
{
	if (offset > image->size || count > (image->size - offset) / bytes || offset % alignment != 0)
		return NULL;
	return image->bytes + offset;
}

#define PART(image, type, offset, count) \
	((const type *)part_of(image, offset, count, sizeof(type), _Alignof(type)))

/* The same for a string that ends within limit bytes. */
static const char *string_at(const struct image *image, uint64_t offset, uint64_t limit)
{
	const char *text = PART(image, char, offset, limit);

	return text != NULL && memchr(text, '\0', limit) != NULL ? text : NULL;
}

/* ---- Scripts ---- */

/* The next word of [*text, end), and *text behind it; its length is 0 at the end. */
static size_t next_word(const char **text, const char *end)
{
	const char *word;

	while (*text < end && (**text == ' ' || **text == '\t'))
		(*text)++;
	for (word = *text; word < end && *word != ' ' && *word != '\t';)
		word++;
	return (size_t)(word - *text);
}

/* "#!/usr/bin/env NAME" starts NAME; options of env and assignments are passed over. */
static void follow_env(char *path, const char *text, const char *end)
{
	size_t length;

	while ((length = next_word(&text, end)) != 0) {
		char name[PATH_MAX];

		if (length < sizeof(name) && *text != '-' && memchr(text, '=', length) == NULL) {
			memcpy(name, text, length);
			name[length] = '\0';
			if (find(path, name) != 0)
				path[0] = '\0';
			return;
		}
		text += length;
	}
}

/* The interpreter that a "#!" line names, into path; false if the file is no script. */
static bool interpreter_of(const struct image *image, char *path)
{
	const char *text = (const char *)image->bytes, *end;
	size_t length;

	if (image->size < 2 || memcmp(text, "#!", 2) != 0)
		return false;
	end = memchr(text, '\n', image->size);
	if (end == NULL)
		end = text + image->size;
	text += 2;
	length = next_word(&text, end);
	if (length == 0 || set_path(path, text, length, "") != 0)
		return false;
	path[length] = '\0'; /* without the slash of set_path */
	text += length;
	if (strcmp(basename(path), "env") == 0)
		follow_env(path, text, end);
	return true;
}

/* ---- Privileges ---- */

/*
 * Whether the kernel will raise AT_SECURE, upon which the loader ignores LD_PRELOAD and hz3 ignores HZ3_CONF.  Not for
 * a set-user-ID program of one's own, on file systems mounted nosuid, or where privileges can't be gained any more.
 */
static const char *privileges_of(const char *path)
{
	struct stat status;
	struct statvfs mounted;

	if (stat(path, &status) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return NULL;
	if (statvfs(path, &mounted) == 0 && (mounted.f_flag & ST_NOSUID) != 0)
		return NULL;
	if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid())
		return "is set-user-ID, and the loader preloads nothing into such programs";
	if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 && status.st_gid != getgid())
		return "is set-group-ID, and the loader preloads nothing into such programs";
	if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return "has file capabilities, and the loader preloads nothing into such programs";
	return NULL;
}

/* ---- ELF ---- */

/* The ELF header of a file of our word size; NULL if it is none. */
static const Elf64_Ehdr *header_of(const struct image *image)
{
	const Elf64_Ehdr *header = PART(image, Elf64_Ehdr, 0, 1);

	return header != NULL && header->e_ident[EI_CLASS] == ELFCLASS64 ? header : NULL;
}

/* The path of the dynamic linker that a file asks for, or NULL. */
static const char *loader_of(const struct image *image)
{
	const Elf64_Ehdr *header = header_of(image);
	const Elf64_Phdr *segment = header != NULL ? PART(image, Elf64_Phdr, header->e_phoff, header->e_phnum) : NULL;

	if (segment == NULL)
		return NULL;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (segment[i].p_type == PT_INTERP)
			return string_at(image, segment[i].p_offset, segment[i].p_filesz);
	}
	return NULL;
}

static bool defines_malloc(const struct image *image, const Elf64_Shdr *symbols, const Elf64_Shdr *names)
{
	uint64_t count = symbols->sh_size / sizeof(Elf64_Sym);
	const Elf64_Sym *symbol = PART(image, Elf64_Sym, symbols->sh_offset, count);

	if (symbol == NULL)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		const char *name;

		if (symbol[i].st_shndx == SHN_UNDEF || symbol[i].st_name >= names->sh_size)
			continue;
		name = string_at(image, names->sh_offset + symbol[i].st_name, names->sh_size - symbol[i].st_name);
		if (name != NULL && strcmp(name, "malloc") == 0)
			return true;
	}
	return false;
}

/* Whether the program itself exports a malloc: the dynamic linker looks there first.  (Without sections: not known.) */
static bool has_own_malloc(const struct image *image)
{
	const Elf64_Ehdr *header = header_of(image);
	const Elf64_Shdr *section = header != NULL ? PART(image, Elf64_Shdr, header->e_shoff, header->e_shnum) : NULL;

	if (section == NULL)
		return false;
	for (unsigned i = 0; i < header->e_shnum; i++) {
		if (section[i].sh_type == SHT_DYNSYM && section[i].sh_link < header->e_shnum)
			return defines_malloc(image, &section[i], &section[section[i].sh_link]);
	}
	return false;
}

/* The header and the loader of this very program, which hz3 shares. */
static const Elf64_Ehdr *our_header(struct image *self)
{
	return open_image(self, "/proc/self/exe") ? header_of(self) : NULL;
}

static const char *why_foreign(const struct image *image, const char *loader)
{
	const Elf64_Ehdr *header = header_of(image), *ours;
	struct image self;
	const char *why = NULL, *our_loader;

	if (header == NULL)
		return "is a 32-bit program, and hz3 is of 64 bits";
	ours = our_header(&self);
	if (ours == NULL)
		return NULL;
	our_loader = loader_of(&self);
	if (header->e_machine != ours->e_machine)
		why = "is of another processor than hz3";
	else if (loader != NULL && our_loader != NULL && strcmp(basename(loader), basename(our_loader)) != 0)
		why = "is of another C library than hz3";
	close_image(&self);
	return why;
}

static void judge(struct program *program, enum program_verdict verdict, const char *why)
{
	program->verdict = verdict;
	program->why = why;
}

static void examine_binary(struct program *program, const struct image *image)
{
	const char *loader, *why;

	if (image->size < EI_NIDENT || memcmp(image->bytes, ELFMAG, SELFMAG) != 0) {
		judge(program, PROGRAM_UNKNOWN, "is neither an ELF program nor a script with a \"#!\" line");
		return;
	}
	loader = loader_of(image);
	why = why_foreign(image, loader);
	if (why != NULL) {
		judge(program, PROGRAM_FOREIGN, why);
		return;
	}
	if (loader == NULL) {
		judge(program, PROGRAM_STATIC, "is statically linked, and nothing can be preloaded; link it with libhz3.a");
		return;
	}
	snprintf(program->loader, sizeof(program->loader), "%s", loader);
	why = privileges_of(program->binary);
	if (why != NULL)
		judge(program, PROGRAM_PRIVILEGED, why);
	else if (has_own_malloc(image))
		judge(program, PROGRAM_OWN_MALLOC, "has a malloc of its own, which goes before any library's");
}

int program_examine(struct program *program, const char *name)
{
	int error = find(program->path, name);

	if (error != 0)
		return error;
	strcpy(program->binary, program->path);
	program->loader[0] = '\0';
	judge(program, PROGRAM_GOOD, NULL);
	for (int scripts = 0; scripts <= SCRIPTS_MAX; scripts++) {
		struct image image;
		bool is_script;

		if (!open_image(&image, program->binary)) {
			judge(program, PROGRAM_UNKNOWN, "cannot be read");
			return 0;
		}
		is_script = interpreter_of(&image, program->binary);
		if (!is_script)
			examine_binary(program, &image);
		close_image(&image);
		if (!is_script)
			return 0;
	}
	judge(program, PROGRAM_UNKNOWN, "is a script of a script of a script");
	return 0;
}
