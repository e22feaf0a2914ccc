/* A libmodbus server for tests: one unit, 1000 registers or bits a table, zero at first.
 *
 *     libmodbus_server tcp PORT              Modbus TCP on loopback, any unit
 *     libmodbus_server rtu /dev/pts/N UNIT   RTU on a serial line, 9600 8N1
 *
 * It prints "ready" once it listens. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void serve(modbus_t *ctx, modbus_mapping_t *map)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int n = modbus_receive(ctx, query);
        if (n < 0)
            return;
        if (n > 0 && modbus_reply(ctx, query, n, map) < 0)
            return;
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    modbus_mapping_t *map = modbus_mapping_new(1000, 1000, 1000, 1000);
    if (strcmp(argv[1], "tcp") == 0) {
        modbus_t *ctx = modbus_new_tcp("127.0.0.1", atoi(argv[2]));
        int listener = modbus_tcp_listen(ctx, 1);
        if (listener < 0)
            return 1;
        puts("ready");
        fflush(stdout);
        for (;;) {
            if (modbus_tcp_accept(ctx, &listener) < 0)
                return 1;
            serve(ctx, map);
            modbus_close(ctx);
        }
    }
    modbus_t *ctx = modbus_new_rtu(argv[2], 9600, 'N', 8, 1);
    modbus_set_slave(ctx, argc > 3 ? atoi(argv[3]) : 1);
    if (modbus_connect(ctx) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;)
        serve(ctx, map);
}
