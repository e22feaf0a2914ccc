"""A peripheral: a sensor that advertises BTHome v2 and can be connected.

Number I has the random static address C0:DE:00:00:HH:LL of its number and the name fg-I. Services and characteristics:

    181a  2a6e         temperature, sint16 in 0.01 degrees: 20.00 + I / 100 at first; read, notify (each 500 ms, 0.01 more)
    180f  2a19         battery level 90; read, notify
    ...f0 ...f1        bytes; read, write, write without response
          ...f2        "needs-pairing"; read, encrypted; pairing is just works, or what `proof` says
    (12345678-1234-5678-1234-56789abcdef0 and so on)"""

import asyncio
import os
import struct

from bumble import hci
from bumble.att import Attribute
from bumble.controller import Controller
from bumble.core import AdvertisingData, UUID
from bumble.device import Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import AsyncPipeSink
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

Properties, Permissions = Characteristic.Properties, Attribute.Permissions
# BlueZ connects at the next advertisement, so a long interval makes connecting slow.
INTERVAL_MS = 100
BTHOME = 0xFCD2
OWN = "12345678-1234-5678-1234-56789abcdef{}"


class Display(PairingDelegate):
    """What a device with a display wants: the passkey that it shows (if there is one), or that a person says whether the
    number that it shows is the other side's. Pairing that proves nothing it refuses."""

    def __init__(self, passkey=None):
        can = PairingDelegate.DISPLAY_OUTPUT_AND_YES_NO_INPUT if passkey is None else PairingDelegate.DISPLAY_OUTPUT_ONLY
        super().__init__(can)
        self.passkey = passkey
        self.shown = None
        self.same = asyncio.get_running_loop().create_future()

    async def confirm(self, auto=False):
        return False

    async def generate_passkey(self):
        return self.passkey

    async def compare_numbers(self, number, digits):
        self.shown = number
        return await self.same


class Peripheral:
    def __init__(self, number):
        self.number = number
        self.address = f"C0:DE:00:00:{number >> 8:02X}:{number & 255:02X}"
        self.name = f"fg-{number}"
        self.temperature = 2000 + number
        self.config = b"\0"
        self.sent = 0
        # Service data instead of the sensor's own: (UUID, bytes).
        self.said = None
        self.hushed = False
        self.proof = None

    async def start(self, air):
        public = self.address.replace("C0", "00", 1)
        self.controller = Controller(self.name, link=air, public_address=public)
        config = DeviceConfiguration(name=self.name, address=hci.Address(self.address))
        config.irk = os.urandom(16)
        config.identity_address_type = hci.Address.RANDOM_DEVICE_ADDRESS
        config.advertising_data = self.advertisement()
        self.device = device = Device(config=config, host=Host(self.controller, AsyncPipeSink(self.controller)))
        air.speech[self.controller] = self.speak
        self.measured = Characteristic(
            UUID.from_16_bits(0x2A6E),
            Properties.READ | Properties.NOTIFY,
            Permissions.READABLE,
            CharacteristicValue(read=lambda _: self.celsius()),
        )
        battery = Characteristic(
            UUID.from_16_bits(0x2A19), Properties.READ | Properties.NOTIFY, Permissions.READABLE, bytes([90])
        )
        config_bytes = Characteristic(
            OWN.format(1),
            Properties.READ | Properties.WRITE | Properties.WRITE_WITHOUT_RESPONSE,
            Permissions.READABLE | Permissions.WRITEABLE,
            CharacteristicValue(read=lambda _: self.config, write=self.write),
        )
        secret = Characteristic(
            OWN.format(2),
            Properties.READ,
            Permissions.READABLE | Permissions.READ_REQUIRES_ENCRYPTION,
            b"needs-pairing",
        )
        device.add_service(Service(UUID.from_16_bits(0x181A), [self.measured]))
        device.add_service(Service(UUID.from_16_bits(0x180F), [battery]))
        device.add_service(Service(OWN.format(0), [config_bytes, secret]))
        device.pairing_config_factory = lambda _: PairingConfig(
            identity_address_type=hci.Address.RANDOM_DEVICE_ADDRESS,
            delegate=self.proof or PairingDelegate(PairingDelegate.NO_OUTPUT_NO_INPUT),
        )
        await device.power_on()
        await device.start_advertising(
            auto_restart=True, advertising_interval_min=INTERVAL_MS, advertising_interval_max=INTERVAL_MS
        )
        self.ticker = asyncio.create_task(self.tick())

    async def rotate(self):
        """Takes a new resolvable private address, as a phone does each quarter of an hour. A link that there is keeps the
        old one. (bumble's own way hands the old address to the controller, and not while it advertises.)"""
        address = self.device.random_address = hci.Address.generate_private_address(self.device.irk)
        await self.device.send_sync_command(hci.HCI_LE_Set_Random_Address_Command(random_address=address))
        advertised = self.device.legacy_advertising_set
        await advertised.set_random_address(address)
        advertised.random_address = address
        return str(address).split("/")[0]

    def celsius(self):
        return struct.pack("<h", self.temperature)

    def write(self, _, value):
        self.config = bytes(value)

    async def tick(self):
        while True:
            await asyncio.sleep(0.5)
            self.temperature += 1
            await self.device.notify_subscribers(self.measured, self.celsius())

    def speak(self):
        """The next advertisement, or nothing."""
        if self.hushed:
            return None
        self.sent += 1
        return self.advertisement()

    def advertisement(self):
        # BTHome v2 in the clear: packet id (new each time), battery 0x01, temperature 0x02 (0.01 C), humidity 0x03 (0.01 %).
        plain = struct.pack("<BBBBBBhBH", 0x40, 0x00, self.sent & 255, 0x01, 90, 0x02, 2150 + self.number, 0x03, 5005)
        uuid, data = self.said or (BTHOME, plain)
        # The name stands here too: bumble sends this as the scan response as well.
        return bytes(
            AdvertisingData(
                [
                    (AdvertisingData.FLAGS, bytes([0x06])),
                    (AdvertisingData.SERVICE_DATA_16_BIT_UUID, struct.pack("<H", uuid) + data),
                    (AdvertisingData.COMPLETE_LOCAL_NAME, self.name.encode()),
                ]
            )
        )

    def seal(self, key, counter, objects):
        """Says these BTHome v2 objects, encrypted (bthome.io/encryption): AES-CCM with a tag of 4 bytes over the nonce
        address, UUID, device information, counter."""
        counter = struct.pack("<I", counter)
        nonce = bytes.fromhex(self.address.replace(":", "")) + struct.pack("<H", BTHOME) + b"\x41" + counter
        sealed = AESCCM(key, tag_length=4).encrypt(nonce, objects, None)
        self.said = (BTHOME, b"\x41" + sealed[:-4] + counter + sealed[-4:])
