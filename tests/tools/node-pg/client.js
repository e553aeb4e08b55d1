// What a job does with node's pg. Prints "ok" and a name for each step; ends with an error where one fails.
"use strict";
const assert = require("node:assert/strict");
const { once } = require("node:events");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const { from, to } = require("pg-copy-streams");

const where = {
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  user: "job",
  password: process.env.TOKEN,
  database: "app",
  ssl: false,
};

async function fails(client, code, ...query) {
  await assert.rejects(client.query(...query), (error) => error.code === code);
}

const steps = {
  async queries(client) {
    const found = await client.query("SELECT id, name FROM customers WHERE id = $1", [1]);
    assert.deepEqual(found.rows, [{ id: 1, name: "Ada Byron" }]);
    assert.equal(found.fields[0].name, "id");
    const several = await client.query("SELECT 1 AS a; SELECT 2 AS b");
    assert.deepEqual(several.map((one) => one.rows[0]), [{ a: 1 }, { b: 2 }]);
    await fails(client, "22012", "SELECT 1/0");
    await fails(client, "42P01", "SELECT * FROM nowhere WHERE a = $1", [1]);
    await fails(client, "42601", "SELEC 1");
    await fails(client, "42501", "SELECT * FROM pg_authid");
    assert.equal((await client.query("SELECT 1 AS a")).rows[0].a, 1);
  },
  async values(client) {
    const at = new Date("2026-01-02T03:04:05.678Z");
    const values = [null, "ünï ✓ ' \\", 7, 1.5, true, Buffer.from([0, 255]), at, ["a", null, 'b,"'], { a: [1, null] }];
    const text =
      "SELECT $1::text a, $2::text b, $3::int c, $4::float8 d, $5::bool e, $6::bytea f, $7::timestamptz g, $8::text[] h, $9::jsonb i";
    for (const query of [{ text }, { text, name: "values" }, { text, name: "values" }]) {
      const { rows } = await client.query({ ...query, values });
      assert.deepEqual(Object.values(rows[0]), values);
    }
    const { rows } = await client.query({ text: "SELECT $1::int AS a, 'x'::text AS b", values: [5], binary: true });
    assert.deepEqual(rows[0], { a: 5, b: "x" });
    const big = await client.query("SELECT 12345678901234567890::numeric AS n, 2::int8 AS b");
    assert.deepEqual(big.rows[0], { n: "12345678901234567890", b: "2" });
  },
  async prepared(client) {
    for (let count = 1; count < 20; count++) {
      const query = { name: "series", text: "SELECT generate_series(1, $1::int) AS n", values: [count], rowMode: "array" };
      assert.equal((await client.query(query)).rows.length, count);
    }
    await fails(client, "22P02", { name: "series", text: "SELECT generate_series(1, $1::int) AS n", values: ["x"] });
    await client.query("DEALLOCATE series");
  },
  async transactions(client) {
    await client.query("CREATE TEMP TABLE t (a int PRIMARY KEY)");
    await client.query("BEGIN");
    await client.query("INSERT INTO t VALUES ($1)", [1]);
    await fails(client, "23505", "INSERT INTO t VALUES ($1)", [1]);
    await fails(client, "25P02", "SELECT 1");
    await client.query("ROLLBACK");
    await client.query("BEGIN");
    await client.query("INSERT INTO t VALUES ($1)", [2]);
    await client.query("COMMIT");
    assert.deepEqual((await client.query("SELECT * FROM t")).rows, [{ a: 2 }]);
  },
  async "queries at once"(client) {
    const all = await Promise.all(Array.from({ length: 50 }, (_, n) => client.query("SELECT $1::int AS n", [n])));
    assert.deepEqual(all.map((one) => one.rows[0].n), Array.from({ length: 50 }, (_, n) => n));
  },
  async cursors(client) {
    const cursor = client.query(new Cursor("SELECT n FROM generate_series(1, $1::int) n", [1000]));
    assert.equal((await cursor.read(10)).length, 10);
    assert.equal((await cursor.read(2000)).length, 990);
    await cursor.close();
    const early = client.query(new Cursor("SELECT n FROM generate_series(1, 1000) n"));
    await early.read(5);
    await early.close();
    assert.equal((await client.query("SELECT 1 AS a")).rows[0].a, 1);
  },
  async "large results"(client) {
    const { rows } = await client.query("SELECT n, repeat('y', 300) AS y FROM generate_series(1, 20000) n");
    assert.equal(rows.length, 20000);
    assert.equal((await client.query("SELECT repeat('z', 20000000) AS z")).rows[0].z.length, 20_000_000);
  },
  async copy(client) {
    await client.query("CREATE TEMP TABLE c (a int, b text)");
    const lines = Array.from({ length: 5000 }, (_, n) => `${n}\trow ${n}\n`);
    await pipeline(Readable.from(lines), client.query(from("COPY c FROM STDIN")));
    let out = "";
    for await (const piece of client.query(to("COPY (SELECT * FROM c ORDER BY a) TO STDOUT"))) out += piece;
    assert.equal(out, lines.join(""));
    await assert.rejects(pipeline(Readable.from(["x\n"]), client.query(from("COPY c FROM STDIN"))), (error) => error.code === "22P02");
    assert.equal((await client.query("SELECT count(*)::int AS n FROM c")).rows[0].n, 5000);
  },
  async notices(client) {
    const notice = once(client, "notice");
    await client.query("DO $$BEGIN RAISE NOTICE 'noticed'; END$$");
    assert.equal((await notice)[0].message, "noticed");
    const heard = once(client, "notification");
    await client.query("LISTEN news");
    await client.query("SELECT pg_notify('news', 'payload')");
    assert.equal((await heard)[0].payload, "payload");
  },
  async cancel(client) {
    const other = new Client(where);
    const { processID } = client;
    assert.ok(processID > 0);
    const asleep = client.query("SELECT pg_sleep(60)");
    setTimeout(() => other.cancel(client, client._getActiveQuery ? client._getActiveQuery() : client.activeQuery), 300);
    await assert.rejects(asleep, (error) => error.code === "57014");
    assert.equal((await client.query("SELECT 1 AS a")).rows[0].a, 1);
  },
  async timeout(client) {
    await client.query("SET statement_timeout = 50");
    await fails(client, "57014", "SELECT pg_sleep(60)");
  },
};

async function main() {
  for (const [name, step] of Object.entries(steps)) {
    const client = new Client(where);
    await client.connect();
    try {
      await step(client);
    } catch (error) {
      console.log(`failed ${name}`);
      throw error;
    }
    await client.end();
    console.log(`ok ${name}`);
  }
  const pool = new Pool({ ...where, max: 4 });
  const all = await Promise.all(Array.from({ length: 40 }, (_, n) => pool.query("SELECT $1::int AS n", [n])));
  assert.equal(all.length, 40);
  await pool.end();
  console.log("ok pool");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
