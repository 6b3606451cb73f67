import { expect, test } from "vitest";
import { memoryStore } from "../src/account.js";
import { GameServer } from "../src/gameserver.js";
import { ApiError } from "../src/http.js";
import { server, tokens } from "./api.js";

test("many requests with an expired token cost one refresh", async () => {
  let issued = 1;
  const { calls, fetcher } = server(({ path, bearer, body }) => {
    if (path === "/auth/guest") {
      return [201, tokens(1)];
    }
    if (path === "/auth/refresh") {
      expect(body.refresh_token).toBe(`r${issued}`);
      issued += 1;
      return [200, tokens(issued)];
    }
    return bearer === "a2" ? [200, { url: "u", token: "t" }] : [401, { title: "Expired" }];
  });
  const client = new GameServer({ url: "http://test/", fetch: fetcher, storage: memoryStore() });
  await client.guest("Ann");
  await Promise.all(Array.from({ length: 5 }, (_, i) => client.roomToken(`room-${i}`)));
  expect(calls.filter((c) => c.path === "/auth/refresh")).toHaveLength(1);
  expect(calls.filter((c) => c.bearer === "a2")).toHaveLength(5);
});

test("a token is refreshed shortly before its end, before it is used", async () => {
  let now = 0;
  const { calls, fetcher } = server(({ path }) =>
    path.startsWith("/auth/t") ? [200, {}] : [200, tokens(path === "/auth/guest" ? 1 : 2, 60)],
  );
  const client = new GameServer({
    url: "http://test",
    fetch: fetcher,
    storage: memoryStore(),
    now: () => now,
  });
  await client.guest();
  await client.roomToken("r");
  now = 31_000;
  await client.roomToken("r");
  expect(calls.map((c) => `${c.path.split("?")[0]} ${c.bearer ?? ""}`.trim())).toEqual([
    "/auth/guest",
    "/auth/token a1",
    "/auth/refresh",
    "/auth/token a2",
  ]);
});

test("a refresh token that is refused signs out; a server that is away does not", async () => {
  const store = memoryStore();
  let refresh: [number, unknown] = [503, { title: "Busy" }];
  const { fetcher } = server(({ path }) => {
    if (path === "/auth/guest") {
      return [201, tokens(1)];
    }
    return path === "/auth/refresh" ? refresh : [401, { title: "Expired" }];
  });
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: store });
  await client.guest();
  await expect(client.roomToken("r")).rejects.toMatchObject({ status: 503 });
  expect(client.account?.playerId).toBe("p");
  refresh = [401, { title: "Unknown refresh token" }];
  await expect(client.roomToken("r")).rejects.toMatchObject({ status: 401 });
  expect(client.account).toBeUndefined();
});

test("the session survives a reload of the tab", async () => {
  const storage = memoryStore();
  const { fetcher } = server(() => [201, tokens(1)]);
  await new GameServer({ url: "http://test", fetch: fetcher, storage }).guest("Ann");
  const again = new GameServer({ url: "http://test", fetch: fetcher, storage });
  expect(again.account).toEqual({ playerId: "p", username: "Ann" });
  expect(new GameServer({ url: "http://other", fetch: fetcher, storage }).account).toBeUndefined();
});

test("a guest registers with its own token, another account does not take it along", async () => {
  const { calls, fetcher } = server(() => [201, tokens(1)]);
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  await client.guest();
  await client.register("ann", "secret-password");
  await client.login("bob", "secret-password");
  expect(calls.map((c) => c.bearer)).toEqual([undefined, "a1", undefined]);
});

test("a problem document becomes a typed error", async () => {
  const { fetcher } = server(() => [
    422,
    {
      type: "about:blank",
      title: "Refused",
      status: 422,
      detail: "the password is too short",
      errors: [{ field: "password", message: "at least 8" }, "nonsense"],
    },
  ]);
  const client = new GameServer({ url: "http://test", fetch: fetcher, storage: memoryStore() });
  const error = await client.register("ann", "x").catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    status: 422,
    title: "Refused",
    detail: "the password is too short",
    errors: [{ field: "password", message: "at least 8" }],
  });
  const down = new GameServer({
    url: "http://test",
    fetch: () => Promise.reject(new TypeError("refused")),
    storage: memoryStore(),
  });
  await expect(down.games()).rejects.toMatchObject({ name: "ApiError", status: 0 });
});
