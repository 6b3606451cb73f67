// Fails when the committed protobuf code is not what `npm run gen` makes of proto/ today.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const fresh = mkdtempSync(join(tmpdir(), "gameserver-gen-"));
try {
  execFileSync(
    "buf",
    ["generate", "--template", "buf.gen.yaml", "--output", fresh, "../../proto"],
    { stdio: "inherit" },
  );
  const made = readdirSync(join(fresh, "test/gen")).sort();
  const committed = readdirSync("test/gen").sort();
  const stale = [...new Set([...made, ...committed])].filter(
    (name) =>
      !made.includes(name) ||
      !committed.includes(name) ||
      readFileSync(join(fresh, "test/gen", name), "utf8") !==
        readFileSync(join("test/gen", name), "utf8"),
  );
  if (stale.length > 0) {
    console.error(`test/gen is stale (${stale.join(", ")}): run \`npm run gen\` and commit it.`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
