/*
 * The yardstick: what one would write in C on libmodbus and libmosquitto. One connection per device, one request per
 * poll, one thread, aligned deadlines; the payload is the contract's `readings`. It polls holding registers 0..n-1 as
 * uint16 and has no configuration, quality, retry or buffering: a device that fails ends the program.
 *
 *     reference BROKER_PORT QOS PERIOD_MS REGISTERS DEVICE_PORT...
 *
 * Device k of the list is published as fieldgate/device/default/dev-k/readings, k in three digits.
 */
#include "payload.h"

#include <errno.h>
#include <modbus/modbus.h>
#include <mosquitto.h>
#include <unistd.h>

enum { MAX_REGISTERS = 125, MAX_KEY = 16 };

struct device {
	modbus_t *modbus;
	char topic[64];
	uint64_t seq;
};

int main(int argc, char **argv)
{
	if (argc < 6)
		die("usage", "reference BROKER_PORT QOS PERIOD_MS REGISTERS DEVICE_PORT...");
	int broker_port = atoi(argv[1]), qos = atoi(argv[2]), registers = atoi(argv[4]), devices = argc - 5;
	int64_t period = atoll(argv[3]) * 1000000LL;
	if (registers < 1 || registers > MAX_REGISTERS || period < 1)
		die("usage", "1..125 registers, a period of at least 1 ms");

	mosquitto_lib_init();
	struct mosquitto *mqtt = mosquitto_new("reference", true, NULL);
	if (!mqtt)
		die("mosquitto_new", "out of memory");
	mosquitto_int_option(mqtt, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_max_inflight_messages_set(mqtt, 0);
	int failed = mosquitto_connect(mqtt, "127.0.0.1", broker_port, 60);
	if (failed)
		die("mosquitto_connect", mosquitto_strerror(failed));

	struct device *list = calloc((size_t)devices, sizeof *list);
	char(*keys)[MAX_KEY] = calloc((size_t)registers, sizeof *keys);
	char *head = malloc(256), *payload = malloc(256 + (size_t)registers * (MAX_KEY + 8));
	if (!list || !keys || !head || !payload)
		die("memory", "none left");
	for (int k = 0; k < devices; k++) {
		list[k].modbus = modbus_new_tcp("127.0.0.1", atoi(argv[5 + k]));
		snprintf(list[k].topic, sizeof list[k].topic, "fieldgate/device/default/dev-%03d/readings", k);
		if (!list[k].modbus || modbus_connect(list[k].modbus) < 0)
			die(list[k].topic, "cannot connect");
		modbus_set_slave(list[k].modbus, 1);
	}
	for (int r = 0; r < registers; r++)
		snprintf(keys[r], MAX_KEY, "\"r%d\":", r);
	int head_length = snprintf(head, 256, "{\"node\":\"reference\",\"boot\":\"C%09d\",\"seq\":", (int)getpid());

	/* Deadlines on the grid of the period, the first at once. */
	for (int64_t deadline = monotonic_ns();; ) {
		for (int k = 0; k < devices; k++) {
			uint16_t values[MAX_REGISTERS];
			if (modbus_read_registers(list[k].modbus, 0, registers, values) != registers)
				die(list[k].topic, modbus_strerror(errno));
			char *at = put(payload, head, (size_t)head_length);
			at = put_number(at, ++list[k].seq);
			at = put(at, ",\"time\":\"", 9);
			at = put_time(at);
			at = put(at, "\",\"values\":{", 12);
			for (int r = 0; r < registers; r++) {
				at = put(at, keys[r], strlen(keys[r]));
				at = put_number(at, values[r]);
				*at++ = ',';
			}
			at[-1] = '}';
			*at++ = '}';
			/* Outside of a callback and without a network thread this writes to the socket. */
			failed = mosquitto_publish(mqtt, NULL, list[k].topic, (int)(at - payload), payload, qos, false);
			if (failed)
				die("mosquitto_publish", mosquitto_strerror(failed));
		}
		int64_t now = monotonic_ns();
		deadline += period;
		if (deadline < now)
			deadline = now - (now - deadline) % period; /* late polls are skipped */
		/* Acknowledgements and pings while waiting; the rest below a millisecond is slept. */
		do {
			int64_t left = (deadline - now) / 1000000;
			failed = mosquitto_loop(mqtt, left > 0 ? (int)left : 0, 1);
			if (failed)
				die("mosquitto_loop", mosquitto_strerror(failed));
			now = monotonic_ns();
		} while (deadline - now > 1000000);
		struct timespec until = { deadline / 1000000000, deadline % 1000000000 };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
}
