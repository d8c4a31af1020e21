// The litmus on caching libraries for Node: see ../README.md. Prints one line for each answer.

import { readFileSync } from "node:fs";
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { createCache } from "cache-manager";
import { Cacheable } from "cacheable";
import { Keyv } from "keyv";

const AGE = 50; // milliseconds: for longer than what is to be refreshed is fresh
const TURNS = 200; // of the event loop, after which everything waits for the gate or has ended

const manifest = JSON.parse(readFileSync(new URL("package.json", import.meta.url)));

function report(library, experiment, answer) {
  console.log([library, manifest.dependencies[library], experiment, answer].join("\t"));
}

async function settle() {
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise(setImmediate);
}

// Some libraries compare times: what is stored in the millisecond of an invalidation counts as from before it.
async function passTime(milliseconds) {
  const start = Date.now();
  while (Date.now() < start + milliseconds) await new Promise(setImmediate);
}

// A load reads, the data change, the invalidation returns, the load ends: what does a later call return?
async function overtaken(library, experiment, make) {
  let value = "old";
  let loads = 0;
  const held = experiment === "refresh" ? 2 : 1;
  let reach;
  let open;
  const reached = new Promise((resolve) => (reach = resolve));
  const gate = new Promise((resolve) => (open = resolve));
  const load = async () => {
    loads += 1;
    const read = value;
    if (loads === held) {
      reach();
      await gate;
    }
    return read;
  };
  const { get, invalidate } = make(load);
  if (experiment === "refresh") {
    await get();
    await passTime(AGE);
  }
  const loading = get();
  await reached;
  value = "new";
  await invalidate();
  await passTime(2);
  let later;
  if (experiment === "joined") {
    later = get();
    await settle();
  }
  open();
  await loading;
  await settle();
  report(library, experiment, await (later ?? get()));
}

const ways = (how, all) => ({ invalidate: all[how] ?? all.key });

function bentocache(how) {
  return (load) => {
    const ages = how === "refresh" ? { ttl: "10ms", grace: "1m", timeout: 0 } : { ttl: "1m" };
    const store = bentostore().useL1Layer(memoryDriver({ maxSize: "1mb" }));
    const cache = new BentoCache({ default: "memory", stores: { memory: store } });
    return {
      get: () => cache.getOrSet({ key: "item", tags: ["items"], factory: load, ...ages }),
      ...ways(how, {
        key: () => cache.delete({ key: "item" }),
        tag: () => cache.deleteByTag({ tags: ["items"] }),
        everything: () => cache.clear(),
      }),
    };
  };
}

function cacheManager(how) {
  return (load) => {
    const cache = createCache();
    return {
      get: () => cache.wrap("item", load, 60_000, how === "refresh" ? 59_990 : undefined),
      ...ways(how, { key: () => cache.del("item"), everything: () => cache.clear() }),
    };
  };
}

function cacheable(how) {
  return (load) => {
    const cache = new Cacheable({ tags: true });
    return {
      get: () => cache.getOrSet("item", load, { ttl: "1m", tags: ["items"] }),
      ...ways(how, {
        key: () => cache.delete("item"),
        tag: () => cache.tags.invalidateTag("items"),
        everything: () => cache.clear(),
      }),
    };
  };
}

// keyv stores and does not load: its users write these three steps.
function keyv(how) {
  return (load) => {
    const cache = new Keyv();
    return {
      get: async () => {
        const stored = await cache.get("item");
        if (stored !== undefined) return stored;
        const loaded = await load();
        await cache.set("item", loaded, 60_000);
        return loaded;
      },
      ...ways(how, { key: () => cache.delete("item"), everything: () => cache.clear() }),
    };
  };
}

for (const how of ["key", "tag", "everything", "joined", "refresh"]) await overtaken("bentocache", how, bentocache(how));
for (const how of ["key", "everything", "joined", "refresh"]) await overtaken("cache-manager", how, cacheManager(how));
for (const how of ["key", "tag", "everything", "joined"]) await overtaken("cacheable", how, cacheable(how));
for (const how of ["key", "everything"]) await overtaken("keyv", how, keyv(how));
