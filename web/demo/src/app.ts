import {
  ApiError,
  type Game,
  GameServer,
  isMatchOver,
  type Match,
  type MatchResult,
  type MatchSession,
} from "@gameserver/sdk";
import { describe } from "./describe.js";
import { announce } from "./dom.js";
import { named } from "./games/view.js";
import { readHistory } from "./history.js";
import { type Invitation, inviteLink, newCode, readInvitation } from "./invite.js";
import { cleanLine } from "./line-panel.js";
import { Membership } from "./membership.js";
import { type MenuChoice, MenuScreen } from "./menu.js";
import { PlayScreen } from "./play.js";
import { messageScreen, resultScreen } from "./screens.js";
import { Sound } from "./sound.js";
import { WaitingScreen } from "./waiting.js";

/** What a tab remembers of its match, to come back into it after a reload. */
interface Kept {
  readonly match: Match;
  readonly code: string | undefined;
}

/** A match to wait for. */
interface Order {
  readonly game: string;
  readonly code?: string | undefined;
  /** Whether this player invites a friend by a link. */
  readonly invites?: boolean;
  /** This player's ticket, where the party's leader queued. */
  readonly ticket?: string;
}

/** The demo: from the menu to the match and back. */
export class App {
  readonly client = new GameServer();
  session: MatchSession | undefined;
  readonly #host: HTMLElement;
  readonly #sound = new Sound();
  readonly #line = cleanLine();
  readonly #membership: Membership;
  #screen: MenuScreen | undefined;
  #games: readonly Game[] = [];
  #play: PlayScreen | undefined;

  constructor(host: HTMLElement) {
    this.#host = host;
    this.#membership = new Membership({
      client: this.client,
      signIn: async () => {
        const name = this.#screen?.name;
        if (name !== undefined) {
          await this.#signIn(name);
        }
        return name !== undefined;
      },
      changed: () => this.#screen?.setParty(this.#membership.party, this.client.account?.playerId),
      queued: (ticket, game) => {
        if (FREE.includes(document.body.dataset.screen ?? "")) {
          void this.#queue({ game, ticket });
        }
      },
    });
  }

  async start(): Promise<void> {
    void this.#membership.resume();
    const kept = readKept();
    if (kept !== undefined && this.client.account !== undefined) {
      await this.#enter(kept, true);
      return;
    }
    await this.#menu("");
  }

  async #menu(error: string): Promise<void> {
    this.#close();
    if (this.#games.length === 0) {
      this.#show("loading", messageScreen("Loading …", ""));
    }
    try {
      // Each time: while somebody works on a game, it changes and others appear.
      this.#games = await this.client.games();
    } catch (cause) {
      const retry = { label: "Try again", act: () => void this.#menu("") };
      this.#show("message", messageScreen("The server is not there", describe(cause), retry));
      return;
    }
    const invitation = readInvitation(location.search);
    const screen = new MenuScreen({
      games: this.#games,
      name: this.client.account?.username ?? localStorage.getItem(NAME_KEY) ?? "",
      invitation,
      error,
      party: this.#membership.box.root,
      choose: (choice) => void this.#choose(choice, invitation),
    });
    screen.setParty(this.#membership.party, this.client.account?.playerId);
    this.#screen = screen;
    this.#show("menu", screen.root);
  }

  async #choose(choice: MenuChoice, invitation: Invitation | undefined): Promise<void> {
    try {
      await this.#signIn(choice.name);
    } catch (error) {
      await this.#menu(describe(error));
      return;
    }
    const code = invitation?.code ?? (choice.how === "friend" ? newCode() : undefined);
    await this.#queue({ game: choice.game, code, invites: choice.how === "friend" });
  }

  async #signIn(name: string): Promise<void> {
    localStorage.setItem(NAME_KEY, name);
    if (this.client.account?.username === name) {
      return;
    }
    try {
      await this.client.guest(name);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) {
        throw error;
      }
      // The name is someone's: a number after it makes it free.
      const suffix = String(Math.floor(Math.random() * 9000) + 1000);
      await this.client.guest(`${name.slice(0, 15)}-${suffix}`);
    }
  }

  async #queue(order: Order, again = false): Promise<void> {
    this.#close();
    const { game, code } = order;
    const { party, others } = this.#membership;
    const abort = new AbortController();
    const waiting = new WaitingScreen({
      title: this.#games.find((g) => g.id === game)?.title ?? game,
      code,
      link:
        code !== undefined && order.invites ? inviteLink(location.href, { game, code }) : undefined,
      party: others,
      cancel: () => abort.abort(),
    });
    this.#show("waiting", waiting.root);
    const clock = setInterval(() => waiting.tick(), CLOCK_MS);
    let cancel = async () => {};
    try {
      const ticket =
        order.ticket !== undefined
          ? this.client.ticket(order.ticket, game)
          : await this.client.queue({
              game,
              replace: true,
              ...(code === undefined ? {} : { code }),
              ...(party === undefined ? {} : { partyId: party.party_id }),
            });
      this.#membership.follow(ticket.id);
      cancel = () => ticket.cancel();
      const match = await ticket.waitForMatch({
        signal: abort.signal,
        onStatus: (status) => waiting.update(status),
        accept: (status, signal) => {
          this.#sound.play("spawn");
          return waiting.ask(status, signal);
        },
      });
      clearInterval(clock);
      await this.#enter({ match, code }, false);
    } catch (error) {
      if (abort.signal.aborted) {
        await cancel().catch(() => {});
        await this.#menu("");
      } else if (!again && error instanceof ApiError && error.status === 401) {
        // The server does not know this player any more: it starts over as a new guest.
        this.#membership.forget();
        await this.#signIn(localStorage.getItem(NAME_KEY) ?? "Guest");
        await this.#queue({ game, code, invites: order.invites ?? false }, true);
      } else {
        await this.#menu(describe(error, party));
      }
    } finally {
      clearInterval(clock);
    }
  }

  async #enter(kept: Kept, again: boolean): Promise<void> {
    const names = kept.match.players.map((p) => named(p.username, p.rating)).join(" · ");
    this.#show("joining", messageScreen(again ? "Back into the match …" : "Joining …", names));
    sessionStorage.setItem(MATCH_KEY, JSON.stringify(kept));
    let session: MatchSession;
    try {
      session = await (again ? this.client.rejoin(kept.match) : this.client.join(kept.match));
    } catch (error) {
      if (isMatchOver(error)) {
        await this.#over(kept);
        return;
      }
      this.#show(
        "message",
        messageScreen(
          "The match could not be joined",
          describe(error),
          { label: "Try again", act: () => void this.#enter(kept, true) },
          { label: "Menu", act: () => this.#abandon() },
        ),
      );
      return;
    }
    this.session = session;
    if (session.result !== undefined) {
      this.#ended(kept, session);
      return;
    }
    this.#play = new PlayScreen(session, this.#sound, this.#line, () => {
      forget();
      void session.leave().then(() => this.#menu(""));
    });
    session.on("result", (result) => {
      // A moment to see the last blow; the second telling, when it is stored, changes a line only.
      const shown = document.body.dataset.screen === "result";
      setTimeout(() => this.#ended(kept, session), shown ? 0 : LAST_LOOK_MS);
      announce(`The match is over: ${result.outcome}`);
    });
    session.on("closed", (reason) => {
      if (reason !== "left" && session.result === undefined) {
        this.#close();
        if (reason === "over") {
          void this.#over(kept);
        } else {
          this.#lost(kept, reason);
        }
      }
    });
    this.#show("match", this.#play.root);
  }

  /** The room is gone: the history may know how the match ended. */
  async #over(kept: Kept): Promise<void> {
    forget();
    const found = await this.client.match(kept.match.match_id).catch(() => undefined);
    const result = found === undefined ? undefined : readHistory(found);
    if (result === undefined) {
      await this.#menu("That match is over.");
      return;
    }
    const me = this.client.account?.playerId;
    const mine = result.players.find((p) => p.playerId === me);
    this.#showResult(kept, result.result, result.players, mine?.slot);
  }

  #lost(kept: Kept, reason: string): void {
    const retry = { label: "Try again", act: () => void this.#enter(kept, true) };
    const menu = { label: "Menu", act: () => this.#abandon() };
    const [title, ...buttons] =
      reason === "elsewhere"
        ? (["You are playing in another window", retry, menu] as const)
        : reason === "removed"
          ? (["You were removed from the match", menu] as const)
          : reason === "replaced"
            ? (["Another player has your place now", menu] as const)
            : (["The connection was lost", retry, menu] as const);
    this.#show("message", messageScreen(title, "", ...buttons));
  }

  #ended(kept: Kept, session: MatchSession): void {
    if (this.session !== session || session.result === undefined) {
      return;
    }
    forget();
    this.#play?.destroy();
    this.#play = undefined;
    const { result, players, slot } = session;
    const mine = result.slots.find((row) => row.slot === slot);
    if (document.body.dataset.screen !== "result") {
      this.#sound.play(mine?.placement === 1 ? "win" : "lose");
    }
    this.#showResult(kept, result, players, slot);
  }

  #showResult(
    kept: Kept,
    result: MatchResult,
    players: readonly { readonly slot: number; readonly username: string }[],
    slot: number | undefined,
  ): void {
    this.#show(
      "result",
      resultScreen({
        result,
        players,
        slot,
        code: kept.code,
        again: () => {
          if (this.#membership.leads) {
            const { code, match } = kept;
            void this.#queue({ game: match.game, code, invites: code !== undefined });
          } else {
            void this.#menu("");
          }
        },
        follows: !this.#membership.leads,
        menu: () => void this.#menu(""),
      }),
    );
  }

  #abandon(): void {
    forget();
    void this.#menu("");
  }

  #close(): void {
    this.#play?.destroy();
    this.#play = undefined;
    const session = this.session;
    this.session = undefined;
    session?.close();
  }

  #show(name: string, screen: HTMLElement): void {
    if (name !== "menu") {
      this.#screen = undefined;
    }
    document.body.dataset.screen = name;
    this.#host.replaceChildren(screen);
  }
}

function readKept(): Kept | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(MATCH_KEY) ?? "null") as Kept | null;
    return typeof kept?.match?.room === "string" ? kept : undefined;
  } catch {
    return undefined;
  }
}

function forget(): void {
  sessionStorage.removeItem(MATCH_KEY);
}

const MATCH_KEY = "gameserver.match";
const NAME_KEY = "gameserver.name";
const LAST_LOOK_MS = 1200;
const CLOCK_MS = 250;
/** Where a party's leader may take one along from. */
const FREE: readonly string[] = ["menu", "result", "message"];
