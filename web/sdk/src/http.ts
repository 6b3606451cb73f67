/** One field of a refused body. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** An answer that says no (RFC 9457), or an answer that is not the API's. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** The HTTP status; 0 where the server could not be reached. */
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly FieldError[];
  /** What it is, for programs, such as `already-queued`; empty where the answer names nothing. */
  readonly kind: ProblemKind;
  /** In how many seconds to try again, where the server says so. */
  readonly retryAfterS: number | undefined;
  /** The whole problem document, for members of single problems, such as `ticket_id`. */
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    problem: Readonly<Record<string, unknown>>,
    retryAfterS?: number | undefined,
  ) {
    const title = typeof problem.title === "string" ? problem.title : `HTTP ${status}`;
    const detail = typeof problem.detail === "string" ? problem.detail : "";
    super(detail === "" ? title : `${title}: ${detail}`);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.errors = Array.isArray(problem.errors) ? problem.errors.filter(isFieldError) : [];
    this.kind =
      typeof problem.type === "string" && problem.type.startsWith(PROBLEM)
        ? problem.type.slice(PROBLEM.length)
        : "";
    this.retryAfterS = retryAfterS;
    this.problem = problem;
  }
}

/**
 * What a refusal is. Those that a game has something to say about have a name here:
 * - `already-queued` (409): a player, oneself or a member of the party, has a live ticket for the
 *   game; `problem.ticket_id` and `problem.player_id` name it;
 * - `already-matched` (409): too late to leave the queue;
 * - `not-the-leader` (403): only the leader queues a party;
 * - `party-changed` (409): somebody joined or left while the party was queued: queue again;
 * - `already-in-party` (409): one party at a time; `problem.party_id` names it;
 * - `party-full` (409): there is no place left in the party;
 * - `not-accepting`, `already-answered` (409): the match was not to be accepted any more;
 * - `banned` (403), `too-many-requests` (429, with `retryAfterS`), `unavailable` (503).
 */
export type ProblemKind =
  | "already-queued"
  | "already-matched"
  | "not-the-leader"
  | "party-changed"
  | "already-in-party"
  | "party-full"
  | "not-accepting"
  | "already-answered"
  | "banned"
  | "forbidden"
  | "not-found"
  | "invalid"
  | "too-many-requests"
  | "unauthorized"
  | "unavailable"
  // Others keep their name, without hiding the ones above from editors.
  | (string & {});

/** How a request is made. */
export interface RequestOptions {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly bearer?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `fetch`, as the browser and Node have it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * One request for JSON.
 *
 * @throws {ApiError} for every answer but 2xx, and with status 0 where there is none.
 */
export async function request<T>(
  fetcher: Fetch,
  base: string,
  path: string,
  options: RequestOptions = {},
): Promise<T> {
  const query = Object.entries(options.query ?? {})
    .filter((entry): entry is [string, string | number] => entry[1] !== undefined)
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
    .join("&");
  const headers: Record<string, string> = { accept: "application/json" };
  if (options.body !== undefined) {
    headers["content-type"] = "application/json";
  }
  if (options.bearer !== undefined) {
    headers.authorization = `Bearer ${options.bearer}`;
  }
  const init: RequestInit = { method: options.method ?? "GET", headers };
  if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
  }
  if (options.signal !== undefined) {
    init.signal = options.signal;
  }
  let response: Response;
  let body: string;
  try {
    response = await fetcher(`${base}${path}${query === "" ? "" : `?${query}`}`, init);
    body = await response.text();
  } catch (error) {
    if (options.signal?.aborted) {
      throw error;
    }
    throw new ApiError(0, {
      title: "The server cannot be reached",
      detail: error instanceof Error ? error.message : String(error),
    });
  }
  let json: unknown;
  try {
    json = body === "" ? undefined : JSON.parse(body);
  } catch {
    throw new ApiError(response.ok ? 502 : response.status, {
      title: response.ok ? "The answer is not JSON" : `HTTP ${response.status}`,
      detail: body.slice(0, MAX_DETAIL),
    });
  }
  if (!response.ok) {
    const problem = typeof json === "object" && json !== null ? json : {};
    const retry = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
    throw new ApiError(
      response.status,
      problem as Record<string, unknown>,
      Number.isNaN(retry) ? undefined : retry,
    );
  }
  return json as T;
}

function isFieldError(value: unknown): value is FieldError {
  const error = value as Partial<FieldError> | null;
  return typeof error?.field === "string" && typeof error.message === "string";
}

const PROBLEM = "urn:gameserver:problem:";
/** A proxy's page of HTML is no help beyond its first lines. */
const MAX_DETAIL = 200;
