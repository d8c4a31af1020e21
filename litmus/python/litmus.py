"""The litmus on caching libraries for Python: see ../README.md. Prints one line for each answer."""

import asyncio
import contextlib
import datetime
import threading
import time
from importlib.metadata import version

import aiocache
import cashews
from dogpile.cache import make_region

AGE = 0.05  # seconds: for longer than what is to be refreshed is fresh
TURNS = 200  # of the event loop, after which every task waits for a gate or has ended


class Source:
    """What is cached. One load, the first if nothing else is said, reads, and then stands at a gate."""

    def __init__(self, event, held=1):
        self.value, self.loads, self.held = "old", 0, held
        self.reached, self.gate = event(), event()

    def read(self):
        self.loads += 1
        return self.value, self.loads == self.held


def report(library, experiment, answer):
    print(library, version(library), experiment, answer, sep="\t", flush=True)


async def settle():
    for _ in range(TURNS):
        await asyncio.sleep(0)


def pass_time(seconds=0.002):
    """Some libraries compare times: what is stored in the millisecond of an invalidation counts as from before it."""
    start = time.time()
    while time.time() < start + seconds:
        pass


async def overtaken(library, experiment, make):
    """A load reads, the data change, the invalidation returns, the load ends: what does a later call return?"""
    source = Source(asyncio.Event, held=2 if experiment == "refresh" else 1)

    async def load():
        value, is_held = source.read()
        if is_held:
            source.reached.set()
            await source.gate.wait()
        return value

    async with make(load) as (get, invalidate):
        if experiment == "refresh":
            await get()
            pass_time(AGE)
        loading = asyncio.create_task(get())
        await source.reached.wait()
        source.value = "new"
        await invalidate()
        pass_time()
        later = None
        if experiment == "joined":
            later = asyncio.create_task(get())
            await settle()
        source.gate.set()
        await loading
        await settle()
        report(library, experiment, await later if later else await get())


@contextlib.asynccontextmanager
async def with_cashews(load, how):
    cache = cashews.Cache()
    cache.setup("mem://")

    decorator = cache(ttl="1m", key="item", tags=["items"])
    if how == "refresh":
        decorator = cache.early(ttl="1m", early_ttl=datetime.timedelta(milliseconds=10), key="item")

    @decorator
    async def get():
        return await load()

    ways = {"key": lambda: cache.delete("item"), "tag": lambda: cache.delete_tags("items"), "everything": cache.clear}
    yield get, ways.get(how, ways["key"])
    await cache.close()


@contextlib.asynccontextmanager
async def with_aiocache(load, how):
    decorator = {"joined": aiocache.cached_stampede}.get(how, aiocache.cached)

    @decorator(ttl=60, key_builder=lambda *_: "item", cache=aiocache.Cache.MEMORY)
    async def get():
        return await load()

    await get.cache.clear()  # all in-memory caches of a process are one
    yield get, {"everything": get.cache.clear}.get(how, lambda: get.cache.delete("item"))


def with_dogpile(how):
    """dogpile works with threads: the load runs in one, and the rest in this one."""
    region = make_region().configure("dogpile.cache.memory")
    source = Source(threading.Event)

    def load():
        value, is_held = source.read()
        if is_held:
            source.reached.set()
            source.gate.wait()
        return value

    def get(answers):
        answers.append(region.get_or_create("item", load))

    first, second = [], []
    loading = threading.Thread(target=get, args=(first,))
    loading.start()
    source.reached.wait()
    source.value = "new"
    region.invalidate(hard=True) if how == "everything" else region.delete("item")
    pass_time()
    later = threading.Thread(target=get, args=(second,))
    if how == "joined":
        later.start()
    source.gate.set()
    loading.join()
    if how != "joined":
        later.start()
    later.join()
    report("dogpile.cache", how, second[0])


async def main():
    for how in ["key", "tag", "everything", "joined", "refresh"]:
        await overtaken("cashews", how, lambda load: with_cashews(load, how))
    for how in ["key", "everything", "joined"]:
        await overtaken("aiocache", how, lambda load: with_aiocache(load, how))
    for how in ["key", "everything", "joined"]:
        with_dogpile(how)


asyncio.run(main())
