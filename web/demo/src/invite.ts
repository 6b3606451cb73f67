/** What a link to a private match names. */
export interface Invitation {
  readonly game: string;
  readonly code: string;
}

/** A code that can be read out: no letters that look like others. */
export function newCode(random: (bound: number) => number = secureRandom): string {
  return Array.from({ length: CODE_LENGTH }, () => ALPHABET[random(ALPHABET.length)]).join("");
}

/** The link that brings a friend into the match. */
export function inviteLink(page: string, invitation: Invitation): string {
  const url = new URL(page);
  url.search = new URLSearchParams({ game: invitation.game, code: invitation.code }).toString();
  url.hash = "";
  return url.toString();
}

/** Reads such a link; `undefined` where it is none. */
export function readInvitation(search: string): Invitation | undefined {
  const query = new URLSearchParams(search);
  const game = query.get("game") ?? "";
  const code = (query.get("code") ?? "").toUpperCase();
  return /^[a-z0-9-]{1,32}$/.test(game) && /^[A-Z0-9-]{1,32}$/.test(code)
    ? { game, code }
    : undefined;
}

function secureRandom(bound: number): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] % bound;
}

const ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/** 32^6 is a billion: nobody meets a stranger's match by chance. */
const CODE_LENGTH = 6;
