// Returns every packet to its sender, and every frame of a data track on one of the same name, with
// livekit-client in a page of Chromium: URL and token are given.
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    "--disable-gpu",
    // WebRTC on loopback: real addresses instead of mDNS names that nobody resolves here.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
  ],
});
// The browser ends with this program, whose input ends with the test.
process.stdin.on("end", () => browser.close()).resume();
const page = await browser.newPage();
await page.addScriptTag({ path: createRequire(import.meta.url).resolve("livekit-client") });
await page.evaluate(
  async ([url, token]) => {
    const { DataPacket_Kind, Room, RoomEvent } = globalThis.LivekitClient;
    const room = new Room();
    room.on(RoomEvent.DataReceived, (payload, participant, kind, topic) => {
      if (participant !== undefined) {
        room.localParticipant.publishData(payload, {
          reliable: kind === DataPacket_Kind.RELIABLE,
          topic,
          destinationIdentities: [participant.identity],
        });
      }
    });
    room.on(RoomEvent.DataTrackPublished, async (track) => {
      const back = await room.localParticipant.publishDataTrack({ name: track.info.name });
      const frames = track.subscribe().getReader();
      for (let next = await frames.read(); !next.done; next = await frames.read()) {
        await back.tryPush(next.value);
      }
    });
    await room.connect(url, token);
  },
  [process.argv[2], process.argv[3]],
);
console.log("ready");
