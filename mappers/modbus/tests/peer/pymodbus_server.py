"""A pymodbus server for tests: units 1 and 3, each with its own registers; other units do not answer.

    pymodbus_server.py tcp 127.0.0.1:PORT      Modbus TCP
    pymodbus_server.py rtu-tcp 127.0.0.1:PORT  RTU frames over TCP
    pymodbus_server.py rtu /dev/pts/N BAUD     RTU on a serial line

Every table has 1000 registers or bits, 0 to 999, zero at first. It prints "ready" once it listens. Needs pymodbus 3.16.
"""

import asyncio
import logging
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def device(unit):
    bits = lambda: [SimData(0, count=1000, values=False, datatype=DataType.BITS)]
    words = lambda: [SimData(0, count=1000, values=0, datatype=DataType.REGISTERS)]
    return SimDevice(id=unit, simdata=(bits(), bits(), words(), words()))


def only_answers_of(units, at):
    """pymodbus refuses on behalf of units that are not there; on a real line nobody would."""
    return lambda sending, frame: b"" if sending and frame[at] not in units else frame


async def main(kind, place, baud=9600):
    devices, silent = [device(1), device(3)], {"trace_packet": only_answers_of([1, 3], 6 if kind == "tcp" else 0)}
    if kind == "rtu":
        server = ModbusSerialServer(
            devices, framer=FramerType.RTU, port=place, baudrate=int(baud), parity="N", stopbits=1, **silent
        )
    else:
        host, port = place.rsplit(":", 1)
        framer = FramerType.RTU if kind == "rtu-tcp" else FramerType.SOCKET
        server = ModbusTcpServer(devices, framer=framer, address=(host, int(port)), **silent)
    await server.serve_forever(background=True)
    print("ready", flush=True)
    await asyncio.Future()


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(main(*sys.argv[1:]))
