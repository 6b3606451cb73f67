// Returns every packet to its sender, with LiveKit's own SDK for Node: URL and token are given.
import { DataPacketKind, Room, RoomEvent } from "@livekit/rtc-node";

const room = new Room();
room.on(RoomEvent.DataReceived, (payload, participant, kind, topic) => {
  if (participant !== undefined) {
    room.localParticipant.publishData(payload, {
      reliable: kind === DataPacketKind.KIND_RELIABLE,
      topic,
      destination_identities: [participant.identity],
    });
  }
});
await room.connect(process.argv[2], process.argv[3], { autoSubscribe: true, dynacast: false });
console.log("ready");
