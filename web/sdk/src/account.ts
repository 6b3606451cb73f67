import { ApiError, type Fetch, type RequestOptions, request } from "./http.js";

/** Who is signed in. */
export interface Account {
  readonly playerId: string;
  readonly username: string;
}

/** Where the session is kept: a tab's `sessionStorage`, so that two tabs are two players. */
export interface SessionStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** The answer of `/auth/register`, `/auth/login`, `/auth/guest` and `/auth/refresh`. */
export interface TokenAnswer {
  readonly player_id: string;
  readonly username: string;
  readonly access_token: string;
  readonly refresh_token: string;
  /** Seconds that the access token lives. */
  readonly expires_in: number;
}

interface Session {
  readonly answer: TokenAnswer;
  readonly expiresAtMs: number;
}

/** The tokens of one player, kept fresh. */
export class AccountSession {
  readonly #fetch: Fetch;
  readonly #base: string;
  readonly #store: SessionStore;
  readonly #key: string;
  readonly #now: () => number;
  #session: Session | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(fetcher: Fetch, base: string, store: SessionStore, now: () => number) {
    this.#fetch = fetcher;
    this.#base = base;
    this.#store = store;
    this.#key = `gameserver.session:${base}`;
    this.#now = now;
    this.#session = this.#load();
  }

  get account(): Account | undefined {
    const answer = this.#session?.answer;
    return answer && { playerId: answer.player_id, username: answer.username };
  }

  /** Signs in with what `path` answers to `body`. A guest's token goes along and is kept. */
  async signIn(path: string, body: unknown, keepPlayer: boolean): Promise<Account> {
    const options: RequestOptions = { method: "POST", body };
    const answer = await (keepPlayer && this.#session !== undefined
      ? this.authorized<TokenAnswer>(path, options)
      : request<TokenAnswer>(this.#fetch, this.#base, path, options));
    this.#save(answer);
    return { playerId: answer.player_id, username: answer.username };
  }

  /** Forgets the tokens; the server forgets them too where it can be reached. */
  async signOut(): Promise<void> {
    const bearer = this.#session?.answer.access_token;
    this.#clear();
    if (bearer !== undefined) {
      await request(this.#fetch, this.#base, "/auth/logout", { method: "POST", bearer });
    }
  }

  /** A request in the player's name; refreshes the access token before or after, as needed. */
  async authorized<T>(path: string, options: RequestOptions): Promise<T> {
    if (this.#session === undefined) {
      throw new ApiError(401, {
        title: "Not signed in",
        detail: "call guest, register or login first",
      });
    }
    if (this.#session.expiresAtMs - this.#now() < REFRESH_BEFORE_MS) {
      await this.#refresh();
    }
    const bearer = this.#session.answer.access_token;
    try {
      return await request<T>(this.#fetch, this.#base, path, { ...options, bearer });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401) || this.#session === undefined) {
        throw error;
      }
      // Another request may have fetched new tokens while this one was under way.
      if (this.#session.answer.access_token === bearer) {
        await this.#refresh();
      }
      const fresh = this.#session.answer.access_token;
      return await request<T>(this.#fetch, this.#base, path, { ...options, bearer: fresh });
    }
  }

  /** One refresh at a time: a refresh token works once. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#exchange().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #exchange(): Promise<void> {
    const refreshToken = this.#session?.answer.refresh_token;
    try {
      const answer = await request<TokenAnswer>(this.#fetch, this.#base, "/auth/refresh", {
        method: "POST",
        body: { refresh_token: refreshToken },
      });
      // Signed out or in as someone else meanwhile: that stands.
      if (this.#session?.answer.refresh_token === refreshToken) {
        this.#save(answer);
      }
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 400)) {
        this.#clear();
      }
      throw error;
    }
  }

  #save(answer: TokenAnswer): void {
    this.#session = { answer, expiresAtMs: this.#now() + answer.expires_in * 1000 };
    try {
      this.#store.setItem(this.#key, JSON.stringify(this.#session));
    } catch {
      // A full or forbidden storage costs only the way back after a reload.
    }
  }

  #clear(): void {
    this.#session = undefined;
    try {
      this.#store.removeItem(this.#key);
    } catch {
      // As above.
    }
  }

  #load(): Session | undefined {
    try {
      const stored = JSON.parse(this.#store.getItem(this.#key) ?? "null") as Session | null;
      return typeof stored?.answer.refresh_token === "string" ? stored : undefined;
    } catch {
      return undefined;
    }
  }
}

/** A store that lasts as long as the page, where there is no `sessionStorage`. */
export function memoryStore(): SessionStore {
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

/** A request that starts now should not meet the token's end on its way. */
const REFRESH_BEFORE_MS = 30_000;
