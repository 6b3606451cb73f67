"""Returns every packet to its sender, with LiveKit's own SDK for Python: URL and token are given."""

import asyncio
import sys

from livekit import rtc


async def main(url: str, token: str) -> None:
    room = rtc.Room()
    packets: asyncio.Queue[rtc.DataPacket] = asyncio.Queue()
    room.on("data_received", packets.put_nowait)
    await room.connect(url, token)
    print("ready", flush=True)
    while True:
        packet = await packets.get()
        if packet.participant is None:
            continue
        await room.local_participant.publish_data(
            packet.data,
            reliable=packet.kind == rtc.DataPacketKind.KIND_RELIABLE,
            destination_identities=[packet.participant.identity],
            topic=packet.topic,
        )


asyncio.run(main(*sys.argv[1:]))
