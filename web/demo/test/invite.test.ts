import { expect, test } from "vitest";
import { inviteLink, newCode, readInvitation } from "../src/invite.js";

test("a link to a private match is read back as it was made", () => {
  const invitation = { game: "tic-tac-toe", code: newCode() };
  const link = inviteLink("https://play.example.org/?game=old&code=OLD#x", invitation);
  expect(link).toMatch(/^https:\/\/play\.example\.org\/\?game=tic-tac-toe&code=[A-Z0-9]{6}$/);
  expect(readInvitation(new URL(link).search)).toEqual(invitation);
});

test("a typed code may be in small letters; nonsense is no invitation", () => {
  expect(readInvitation("?game=arena&code=abc234")).toEqual({ game: "arena", code: "ABC234" });
  for (const search of [
    "",
    "?game=arena",
    "?code=ABC",
    "?game=../x&code=A",
    "?game=a&code=%3Cb%3E",
  ]) {
    expect(readInvitation(search)).toBeUndefined();
  }
});

test("codes have no letters that look like others, and all of the rest", () => {
  const seen = new Set(Array.from({ length: 600 }, () => newCode()).join(""));
  for (const letter of "IO01") {
    expect(seen.has(letter)).toBe(false);
  }
  expect(seen.size).toBe(32);
});
