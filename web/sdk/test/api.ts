// An API that answers what a test says.

/** A request that came. */
export interface Call {
  path: string;
  method: string;
  body: Record<string, unknown>;
  bearer: string | undefined;
}

/** Status, body and headers. */
export type Answer = [number, unknown, Record<string, string>?];

/** Answers what `handle` says, and remembers what it was asked. */
export function server(handle: (call: Call) => Answer | Promise<Answer>) {
  const calls: Call[] = [];
  const fetcher = async (url: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    const call: Call = {
      path: url.replace("http://test", ""),
      method: init.method ?? "GET",
      body: init.body === undefined ? {} : JSON.parse(String(init.body)),
      bearer: headers.authorization?.replace("Bearer ", ""),
    };
    calls.push(call);
    const [status, body, answered = {}] = await handle(call);
    return new Response(status === 204 ? null : JSON.stringify(body), {
      status,
      headers: answered,
    });
  };
  return { calls, fetcher };
}

/** What signing in answers. */
export const tokens = (n: number, expiresIn = 900) => ({
  player_id: "p",
  username: "Ann",
  access_token: `a${n}`,
  refresh_token: `r${n}`,
  expires_in: expiresIn,
});
