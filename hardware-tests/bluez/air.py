"""Peripherals and controllers for the virtual machine's BlueZ, and a socket that commands the air.

    air.py FOLDER PERIPHERALS CONTROLLERS

Connects to FOLDER/hci0.sock, hci1.sock ... (HCI in H4, QEMU listens) and listens at FOLDER/air.sock; prints `ready`.
Ends when its standard input does, and QEMU with it (FOLDER/monitor.sock): however the test ended, no machine is left.
One command a line, one answer a line (`ok`, `ok TEXT` or `error TEXT`). I is a peripheral's number:

    vanish I            out of range: nothing passes, and links end by the supervision time-out after 0.42 s
    return I            in range again
    drop I              the peripheral ends its links
    mute I, unmute I    links stay, and nothing passes over them
    hush I, speak I     it advertises nothing; again
    say I UUID HEX      it advertises this service data (16-bit UUID) from now on, always the same bytes
    seal I KEY N HEX    it advertises these BTHome v2 objects, encrypted with the key (32 hex digits) and counter N
    plain I             its own changing data again
    measured I          its temperature in 0.01 degrees, which it counts up
    passkey I NUMBER    from now on it is paired with the passkey that it shows, this one
    compare I           from now on it is paired when a person has compared numbers
    shown I             the number to compare that it shows; nothing as long as there is none
    same I, differs I   what the person tells it of that number
    irk I               the key of its private addresses, in hex, most significant byte first
    rotate I            takes a new private address, which is the answer; a link that there is stays
    written I           the bytes last written to its characteristic, in hex
    links               how many links there are
    sent                how many advertisements each has sent, separated by blanks"""

import asyncio
import sys

from bumble.transport import open_transport

from link import Air, BluezController
from peripheral import Display, Peripheral

SUPERVISION_S = 0.42


async def command(air, peripherals, words):
    verb, *rest = words
    if verb == "links":
        return str(sum(len(p.device.connections) for p in peripherals))
    if verb == "sent":
        return " ".join(str(p.sent) for p in peripherals)
    one = peripherals[int(rest[0])]
    match verb, rest[1:]:
        case "vanish", []:
            air.away.add(one.controller)
            asyncio.get_running_loop().call_later(SUPERVISION_S, air.supervise, one.controller)
        case "return", []:
            air.away.discard(one.controller)
        case "drop", []:
            for connection in list(one.device.connections.values()):
                await connection.disconnect()
        case "mute", []:
            air.mute.add(one.controller)
        case "unmute", []:
            air.mute.discard(one.controller)
        case "hush" | "speak", []:
            one.hushed = verb == "hush"
        case "say", [uuid, data]:
            one.said = (int(uuid, 16), bytes.fromhex(data))
        case "seal", [key, counter, objects]:
            one.seal(bytes.fromhex(key), int(counter), bytes.fromhex(objects))
        case "plain", []:
            one.said = None
        case "measured", []:
            return str(one.temperature)
        case "passkey", [number]:
            one.proof = Display(int(number))
        case "compare", []:
            one.proof = Display()
        case "shown", []:
            return "" if one.proof.shown is None else f"{one.proof.shown:06}"
        case "same" | "differs", []:
            one.proof.same.set_result(verb == "same")
        case "irk", []:
            return one.device.irk[::-1].hex()
        case "rotate", []:
            return await one.rotate()
        case "written", []:
            return one.config.hex()
        case _:
            raise ValueError(f"no such command: {' '.join(words)}")
    return ""


async def serve(air, peripherals, reader, writer):
    while words := (await reader.readline()).decode().split():
        try:
            answer = f"ok {await command(air, peripherals, words)}".strip()
        except Exception as error:  # told to the test, which fails by it
            answer = f"error {error!r}"
        writer.write(f"{answer}\n".encode())
        await writer.drain()
    writer.close()


async def orphaned(folder):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    try:
        answers, monitor = await asyncio.open_unix_connection(f"{folder}/monitor.sock")
        monitor.write(b"quit\n")
        await answers.read()
    except OSError:
        pass  # QEMU ended before.


async def main():
    folder, count, controllers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    air = Air()
    keep = []
    for number in range(controllers):
        transport = await open_transport(f"unix:{folder}/hci{number}.sock")
        address = f"00:AA:01:00:00:{0x42 + number:02X}"
        name = f"bluez-{number}"
        keep.append((transport, BluezController(name, transport.source, transport.sink, link=air, public_address=address)))
    peripherals = [Peripheral(number) for number in range(count)]
    for peripheral in peripherals:
        await peripheral.start(air)
    server = await asyncio.start_unix_server(lambda r, w: serve(air, peripherals, r, w), f"{folder}/air.sock")
    print("ready", flush=True)
    async with server:
        await orphaned(folder)


asyncio.run(main())
