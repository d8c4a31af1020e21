//! What somebody else does to our keys.

use cache_tests::redis::{ErrorKind, RedisError, RedisResult, Script, aio::MultiplexedConnection, cmd};

use crate::worker::NAMESPACE;

/// Keys that are looked at for one that is there.
const SCANNED: u32 = 100;

/// Atomic, so that the library meets either what was there or what is there now: a key that was not
/// there for a moment would be one that was deleted.
const ANOTHER_TYPE: &str = "
    redis.call('DEL', KEYS[1])
    return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))";

/// KEYS 1: a string. ARGV 1: where, 2: what.
const OTHER_BYTES: &str = "
    if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return 0 end
    local bytes = redis.call('GET', KEYS[1])
    local at = ARGV[1] % (#bytes + 1)
    if ARGV[2] == '' then
        return redis.call('SET', KEYS[1], string.sub(bytes, 1, at), 'KEEPTTL')
    end
    return redis.call('SETRANGE', KEYS[1], at, ARGV[2])";

/// A random key of ours becomes one of another type, bookkeeping included.
pub(super) async fn another_type(
    connection: &mut MultiplexedConnection,
    random: &mut fastrand::Rng,
) -> RedisResult<()> {
    const OTHERS: [&[&str]; 5] =
        [&["SET", "x"], &["RPUSH", "x"], &["HSET", "x", "y"], &["SADD", "x"], &["ZADD", "1", "x"]];
    let Some(key) = any_key(connection, random).await? else { return Ok(()) };
    let was: String = cmd("TYPE").arg(&key).query_async(connection).await?;
    let types = ["string", "list", "hash", "set", "zset"];
    let others: Vec<usize> = (0..OTHERS.len()).filter(|at| types[*at] != was).collect();
    let words = OTHERS[others[random.usize(..others.len())]];
    Script::new(ANOTHER_TYPE).key(key).arg(words).invoke_async::<()>(connection).await
}

/// A random string of ours has other bytes somewhere, ends early, or goes on.
pub(super) async fn other_bytes(connection: &mut MultiplexedConnection, random: &mut fastrand::Rng) -> RedisResult<()> {
    let Some(key) = any_key(connection, random).await? else { return Ok(()) };
    let what: Vec<u8> = (0..random.usize(..9)).map(|_| random.u8(..)).collect();
    Script::new(OTHER_BYTES).key(key).arg(random.u32(..4_096)).arg(what).invoke_async::<()>(connection).await
}

async fn any_key(connection: &mut MultiplexedConnection, random: &mut fastrand::Rng) -> RedisResult<Option<String>> {
    let mut cursor = u64::from(random.u32(..));
    for _ in 0..SCANNED {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{NAMESPACE}:*")).arg("COUNT").arg(10);
        let (next, keys): (u64, Vec<String>) = scan.query_async(connection).await?;
        if !keys.is_empty() {
            return Ok(random.choice(keys));
        }
        cursor = next;
    }
    Err(RedisError::from((ErrorKind::Client, "none of our keys is there")))
}
