"""The air between bumble's controllers, and the controllers that BlueZ gets: bumble 0.0.236 with what BlueZ needs mended.

Each mend names what bumble does instead. Nothing here knows what the peripherals say."""

import asyncio
import dataclasses

from bumble import hci
from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink


def soon(call, *arguments):
    asyncio.get_running_loop().call_soon(call, *arguments)


class Air(LocalLink):
    """A link in which controllers can go out of range or fall silent."""

    def __init__(self):
        super().__init__()
        self.away = set()
        self.mute = set()
        # What a controller advertises next: one call for each advertisement.
        self.speech = {}

    def send_advertising_pdu(self, sender, packet):
        if sender in self.away:
            return
        if sender in self.speech and hasattr(packet, "data"):
            data = self.speech[sender]()
            if data is None:
                return
            packet = dataclasses.replace(packet, data=data)
        for controller in self.controllers - self.away - {sender}:
            soon(controller.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(self, sender_address, receiver_address, packet):
        ends = {self.find_le_controller(sender_address), self.find_le_controller(receiver_address)}
        if not ends & (self.away | {None}):
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def send_acl_data(self, sender, destination, transport, data):
        """bumble names the sender by its random address. BlueZ scans with a private random address and connects from its
        public one, so the peripheral would not know whom it hears: the address of the connection is the right one."""
        receiver = self.find_le_controller(destination)
        if {sender, receiver} & (self.away | self.mute):
            return
        connection = sender.le_connections.get(destination) if transport == PhysicalTransport.LE else None
        if connection is None:
            super().send_acl_data(sender, destination, transport, data)
        elif receiver is not None:
            soon(receiver.on_link_acl_data, connection.self_address, transport, data)

    def supervise(self, controller):
        """What the supervision time-out does to a controller that is still away: both ends see reason 0x08."""
        if controller not in self.away:
            return
        own = (controller.random_address, controller.public_address)
        for one in self.controllers:
            for connection in list(one.le_connections.values()):
                if one is controller or connection.peer_address in own:
                    one.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)


class BluezController(Controller):
    """A controller for Linux."""

    # Linux waits for the enhanced event of a connection when privacy is claimed, and uses extended commands when those
    # are; bumble answers with the plain event, and each connect would stall for 4 s.
    le_features = Controller.le_features & ~(hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING)

    def on_hci_le_create_connection_cancel_command(self, command):
        """bumble forgets no connection that is cancelled and reports none: the next one would be refused."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address.address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        soon(self.send_hci_packet, cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)
