/*
 * The yardstick of a serial line: what one would write in C on libmosquitto for one device and one kind of frame. It reads
 * what is there, finds `a5 5a`, checks CRC-16/MODBUS over 20 bytes and publishes four numbers at QoS 0, one message for a
 * frame, all in one thread. It has no configuration, quality, retry or buffering, and it never opens the line again.
 *
 *     reference-serial BROKER_PORT DEVICE
 *
 * The device is published as fieldgate/device/default/line-00/readings.
 */
#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

enum { FRAME = 20, MOST = 2048 };

static uint16_t crc(const uint8_t *bytes, size_t length)
{
	uint16_t sum = 0xffff;
	for (size_t i = 0; i < length; i++) {
		sum ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			sum = (uint16_t)(sum & 1 ? sum >> 1 ^ 0xa001 : sum >> 1);
	}
	return sum;
}

static void publish(struct mosquitto *mqtt, const char *head, const uint8_t *frame)
{
	static uint64_t seq;
	char payload[512];
	char *at = put(payload, head, strlen(head));
	at = put_number(at, ++seq);
	at = put(at, ",\"time\":\"", 9);
	at = put_time(at);
	at = put(at, "\",\"values\":{", 12);
	for (int n = 0; n < 4; n++) {
		at = put(at, "\"r", 2);
		at = put_number(at, (uint64_t)n);
		at = put(at, "\":", 2);
		at = put_number(at, (uint64_t)frame[2 + 2 * n] << 8 | frame[3 + 2 * n]);
		*at++ = ',';
	}
	at[-1] = '}';
	*at++ = '}';
	/* Outside of a callback and without a network thread this writes to the socket. */
	int failed = mosquitto_publish(mqtt, NULL, "fieldgate/device/default/line-00/readings", (int)(at - payload), payload, 0,
				       false);
	if (failed)
		die("mosquitto_publish", mosquitto_strerror(failed));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die("usage", "reference-serial BROKER_PORT DEVICE");
	int line = open(argv[2], O_RDWR | O_NOCTTY | O_NONBLOCK);
	struct termios settings;
	if (line < 0 || tcgetattr(line, &settings) < 0)
		die(argv[2], strerror(errno));
	cfmakeraw(&settings);
	if (tcsetattr(line, TCSANOW, &settings) < 0)
		die(argv[2], strerror(errno));

	mosquitto_lib_init();
	struct mosquitto *mqtt = mosquitto_new("reference-serial", true, NULL);
	if (!mqtt)
		die("mosquitto_new", "out of memory");
	mosquitto_int_option(mqtt, MOSQ_OPT_TCP_NODELAY, 1);
	int failed = mosquitto_connect(mqtt, "127.0.0.1", atoi(argv[1]), 60);
	if (failed)
		die("mosquitto_connect", mosquitto_strerror(failed));
	char head[256];
	snprintf(head, sizeof head, "{\"node\":\"reference\",\"boot\":\"C%09d\",\"seq\":", (int)getpid());

	uint8_t bytes[MOST];
	size_t have = 0;
	for (;;) {
		struct pollfd wait[] = { { line, POLLIN, 0 }, { mosquitto_socket(mqtt), POLLIN, 0 } };
		if (poll(wait, 2, 1000) < 0)
			die("poll", strerror(errno));
		if (!wait[0].revents) {
			failed = mosquitto_loop(mqtt, 0, 1);
			if (failed)
				die("mosquitto_loop", mosquitto_strerror(failed));
			continue;
		}
		ssize_t got = read(line, bytes + have, sizeof bytes - have);
		if (got <= 0)
			die(argv[2], got ? strerror(errno) : "it hung up");
		have += (size_t)got;
		size_t at = 0;
		while (have - at >= FRAME) {
			if (bytes[at] == 0xa5 && bytes[at + 1] == 0x5a && !crc(bytes + at, FRAME)) {
				publish(mqtt, head, bytes + at);
				at += FRAME;
			} else {
				at++;
			}
		}
		memmove(bytes, bytes + at, have -= at);
	}
}
