/* What both yardsticks write: the contract's `readings`, by hand. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const char *what, const char *why)
{
	fprintf(stderr, "reference: %s: %s\n", what, why);
	exit(1);
}

static inline int64_t monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static char *put(char *at, const char *text, size_t length)
{
	memcpy(at, text, length);
	return at + length;
}

static char *put_number(char *at, uint64_t number)
{
	char digits[20];
	int n = 0;
	do {
		digits[n++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (n)
		*at++ = digits[--n];
	return at;
}

/* RFC 3339 UTC with milliseconds; the part up to the second is formatted once a second. */
static char *put_time(char *at)
{
	static time_t second = -1;
	static char text[32];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != second) {
		struct tm parts;
		gmtime_r(&now.tv_sec, &parts);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
		second = now.tv_sec;
	}
	int ms = (int)(now.tv_nsec / 1000000);
	at = put(at, text, 19);
	*at++ = '.';
	*at++ = (char)('0' + ms / 100);
	*at++ = (char)('0' + ms / 10 % 10);
	*at++ = (char)('0' + ms % 10);
	*at++ = 'Z';
	return at;
}
