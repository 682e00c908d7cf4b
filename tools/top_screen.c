/*
 * hz3top on a terminal.
 *
 * One loop: wait for a key, but not for long; look at the process; draw.  A terminal that changes its size is a key to curses.
 */
#include "top_screen.h"

#include "top_view.h"

#include <curses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const bool top_has_screen = true;

/* How long to wait for a key: an ended process shows that soon. */
#define KEY_MS 200

struct screen {
	struct top_target *target;
	struct top_model *model;
	struct top_view view;
	struct hz3_top_snapshot latest;
	bool has_latest;		/* which the model does not know yet */
	bool paused, help, quit;
	enum top_news news;
	unsigned long left;		/* pictures; 0: no end */
	uint64_t next_ms;		/* when the model may have the next snapshot */
	int line;			/* drawing: the next one */
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

/* ---- Drawing ---- */

static void put_line(void *arg, const char *text, enum top_style style)
{
	static const attr_t attributes[] = {[TOP_PLAIN] = A_NORMAL, [TOP_STRONG] = A_BOLD, [TOP_HEADING] = A_REVERSE};
	struct screen *screen = arg;

	if (screen->line >= LINES)
		return;
	attrset(attributes[style]);
	mvaddstr(screen->line++, 0, text);
	attrset(A_NORMAL);
}

static const char *state(const struct screen *screen)
{
	const char *text = top_state_text(screen->news);

	return text == NULL && screen->paused ? "PAUSED" : text;
}

static void draw_keys(const struct screen *screen)
{
	char text[128];

	snprintf(text, sizeof(text), "q quit  h help  s sort  p pause  %u-%u of %u", screen->view.scroll + 1,
		 (unsigned)hz3_min(screen->view.scroll + screen->view.page, screen->model->now.thread_rows), screen->model->now.thread_rows);
	mvaddnstr(LINES - 1, 0, text, COLS - 1);
}

static void draw(struct screen *screen)
{
	erase();
	screen->line = 0;
	screen->view.width = (unsigned)COLS;
	screen->view.height = (unsigned)LINES;
	screen->view.state = state(screen);
	if (screen->help)
		top_view_draw_help(&screen->view, put_line, screen);
	else if (screen->model->has_now)
		top_view_draw(screen->model, &screen->target->process, screen->target->file->head.version, &screen->view, put_line, screen);
	else
		put_line(screen, "waiting for the first snapshot", TOP_STRONG);
	if (!screen->help && LINES > 1)
		draw_keys(screen);
	refresh();
}

/* ---- Keys ---- */

static void scroll_by(struct screen *screen, long lines)
{
	long to = (long)screen->view.scroll + lines;

	screen->view.scroll = to > 0 ? (unsigned)to : 0;
}

static void sort_by(struct screen *screen, int key)
{
	/* By the same again: the other way round. */
	bool again = key == (int)screen->model->key;

	top_model_sort(screen->model, (enum top_key)key, again && !screen->model->reversed);
}

static void take_key(struct screen *screen, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		screen->quit = true;
		break;
	case 'h':
	case '?':
		screen->help = !screen->help;
		break;
	case 'p':
	case ' ':
		screen->paused = !screen->paused;
		break;
	case 's':
		top_model_sort(screen->model, (enum top_key)((screen->model->key + 1) % TOP_KEYS), false);
		break;
	case 'r':
		sort_by(screen, (int)screen->model->key);
		break;
	case KEY_UP:
	case 'k':
		scroll_by(screen, -1);
		break;
	case KEY_DOWN:
	case 'j':
		scroll_by(screen, 1);
		break;
	case KEY_PPAGE:
		scroll_by(screen, -(long)screen->view.page);
		break;
	case KEY_NPAGE:
		scroll_by(screen, (long)screen->view.page);
		break;
	case KEY_HOME:
		screen->view.scroll = 0;
		break;
	case KEY_END:
		screen->view.scroll = HZ3_TOP_THREADS;
		break;
	default:
		/* 1 is the first column, 0 the tenth. */
		if (key >= '0' && key <= '9')
			sort_by(screen, (key - '0' + TOP_KEYS - 1) % TOP_KEYS);
	}
}

/* ---- The loop ---- */

/* What is new of the process; a picture is counted when the model gets something new. */
static void look(struct screen *screen, unsigned delay_ms)
{
	uint64_t now = top_now_ms();
	enum top_news news;

	if (screen->news == TOP_ENDED)
		return;
	news = top_look(screen->target, &screen->latest);
	screen->has_latest |= news == TOP_NEWS;
	screen->news = news;
	if (!screen->has_latest || screen->paused || (now < screen->next_ms && news != TOP_ENDED))
		return;
	top_model_put(screen->model, &screen->latest);
	screen->has_latest = false;
	screen->next_ms = now + delay_ms - hz3_min(delay_ms, screen->target->file->head.period_ms) / 2;
	if (screen->left != 0 && --screen->left == 0)
		screen->quit = true;
}

static bool begin(void)
{
	SCREEN *terminal = newterm(NULL, stdout, stdin);

	if (terminal == NULL)
		return false;
	set_term(terminal);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	timeout(KEY_MS);
	return true;
}

enum top_end top_screen_run(struct top_target *target, struct top_model *model, unsigned delay_ms, unsigned long count)
{
	static struct screen screen;
	struct sigaction action = {.sa_handler = stop};
	const char *term = getenv("TERM");
	int key;

	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
		fputs("hz3top: this is no terminal: use --once or -n\n", stderr);
		return TOP_END_NO_SCREEN;
	}
	if (!begin()) {
		fprintf(stderr, "hz3top: curses cannot use this terminal (TERM=%s): use --once or -n\n", term != NULL ? term : "");
		return TOP_END_NO_SCREEN;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	screen = (struct screen){.target = target, .model = model, .left = count, .view = {.keys = true}};
	while (!screen.quit && !stopped) {
		look(&screen, delay_ms);
		draw(&screen);
		key = getch();
		if (key != ERR)
			take_key(&screen, key);
	}
	endwin();
	return screen.news == TOP_ENDED || screen.news == TOP_GONE ? TOP_END_PROCESS : TOP_END_QUIT;
}
