/*
 * The protocol between loads and invalidations, written from its contract and apart from the code:
 * what `cargo xtask model` gives to spin.
 *
 * Functions call each other: C calls B, B calls A, A reads the data and has the tag T. V reads the
 * data too, and declares that it depends on B without calling it. Each name has its home in one of
 * PARTITIONS partitions, which have clocks of their own; a single server is one partition.
 *
 * One atomic step is one script in one partition, or one look at the data. Every interleaving is
 * tried. After each step holds: no entry is stale (G1: what a call that starts retention would return),
 * and each entry is a member of the index of every name it has (G2).
 *
 * A scenario says by -D how many processes of each kind there are, and what may happen how often.
 * -DWITHOUT_<RULE> takes one rule away; then some scenario must end in a failed assertion.
 */

#define A 0
#define B 1
#define C 2
#define V 3
#define T 4
#define KEYS 4                /* whoever calls or declares has the greater number */
#define NAMES 5
#define bit(n) (1 << (n))

#ifndef PARTITIONS
#define PARTITIONS 1
#endif
/* The home of each name, as bits of a number: two for each. */
#ifndef HOMES
#define HOMES 0
#endif
#define home(name) ((HOMES >> (2 * (name))) & 3)
/* The keys whose home a partition is: bits. */
#define keys_of(p) ((home(A) == p) | (home(B) == p) << B | (home(C) == p) << C | (home(V) == p) << V)

#ifndef STORED
#define STORED 0              /* calls that were completed before: bits of keys */
#endif
#ifndef LOADS
#define LOADS 0               /* calls: bits of keys */
#endif
#ifndef MORE_LOADS
#define MORE_LOADS 0          /* the same again */
#endif
#ifndef INVALIDATIONS
#define INVALIDATIONS 0       /* each changes the data first */
#endif
#ifndef GIVEN
#define GIVEN bit(T)          /* what they name */
#endif
#ifndef WRITES
#define WRITES 0              /* each changes the data, and puts what A is now */
#endif
#ifndef CLOSINGS
#define CLOSINGS 0            /* each changes the data while T is closed */
#endif
#ifndef SWEEPS
#define SWEEPS 0              /* each changes the data, and walks all keys for A */
#endif
#ifndef EXPIRIES
#define EXPIRIES 0
#endif
#ifndef RETENTIONS
#define RETENTIONS 0
#endif
#ifndef DROPS
#define DROPS 0               /* of a fence */
#endif
#ifndef LOSSES
#define LOSSES 0              /* of everything in one of the partitions LOST; with CLOCK_ALONE, of its clock */
#endif
#ifndef LOST
#define LOST 7
#endif
#ifndef CRASHES
#define CRASHES 0             /* of an operation, between two of its scripts */
#endif
#ifndef MARK_ENDS
#define MARK_ENDS 0           /* nobody has renewed the marks of closed names */
#endif
#ifndef RESENDS
#define RESENDS 0             /* of a write that has run */
#endif
#ifndef BUDGET
#define BUDGET 9              /* entries that one script removes */
#endif

/* The version of the data now, and the one that every read must be made from at least. */
byte data = 1;
byte required = 0;

typedef Clock { byte incarnation; byte seq; byte floor; byte fence[NAMES]; bool is_complete }
Clock clock[PARTITIONS];

/* By key: the version that its entry was made from (0: none), and the names of its entry. */
byte entry[KEYS];
byte names[KEYS];
/* By name: the keys that are members of its index, in whatever partition; when each died. */
byte members[NAMES];
typedef Deaths { byte each[KEYS] }
Deaths died[NAMES];
/* By name, at its home: other partitions that may hold members, and the stamp of each such mark. */
byte marks[NAMES];
typedef Stamps { byte each[PARTITIONS] }
Stamps stamp[NAMES];
/* By name, at its home: by which operations it is closed. */
byte closed[NAMES];
/* Retentions that have passed. */
byte retention = 1;

byte expiries = EXPIRIES, retentions = RETENTIONS, drops = DROPS, losses = LOSSES;
byte crashes = CRASHES, mark_ends = MARK_ENDS, resends = RESENDS;

/* The registers of a script: of use within one atomic step, and hidden from the state. */
hidden byte i, j, k, m, reach, budget, asked;
hidden byte ok, is_kept, is_cut_short;
/* A visit's reply: by name, the marks that were met; names whose index was looked at at home. */
hidden byte met[NAMES];
hidden byte drained;
hidden byte p, rest;
hidden byte add[PARTITIONS];

inline check() {
    for (k : 0 .. KEYS - 1) {
        assert(!(entry[k] && entry[k] < required));
        for (m : 0 .. NAMES - 1) {
            assert(!(entry[k] && (names[k] & bit(m)) && !(members[m] & bit(k))));
#if PARTITIONS > 1 && !defined(WITHOUT_REGISTRATION)
            assert(!(entry[k] && (names[k] & bit(m)) && home(m) != home(k) && clock[home(m)].is_complete &&
                     !(marks[m] & bit(home(k)))))
#endif
        }
    }
}

/* The key leaves indexes; or, if something depends on it, its memberships die and stay. */
inline leave(key, left_names) {
    for (m : 0 .. NAMES - 1) {
        if
        :: ((left_names) & bit(m)) && is_kept -> died[m].each[key] = retention
        :: ((left_names) & bit(m)) && !is_kept -> members[m] = members[m] & ~bit(key); died[m].each[key] = 0
        :: else
        fi
    }
}

/* Something depends on the key, here or elsewhere. */
inline is_depended_on(key) {
#ifdef WITHOUT_MARKS_KEEP_MEMBERS
    is_kept = (members[key] & keys_of(home(key))) != 0
#else
    is_kept = (members[key] & keys_of(home(key))) != 0 || marks[key] != 0
#endif
}

/*
 * One script: advances the clock of a partition, fences the names that are given, and removes what
 * is reached through their indexes there, what depends on something before it. A membership goes
 * when nothing is left of its own key's index: it is the record of work that is not done.
 */
inline visit(p, given, fences_given) {
#ifndef WITHOUT_VISITS_ADVANCE_THE_CLOCK
    clock[p].seq++;
#endif
    budget = BUDGET; is_cut_short = false; reach = 0; drained = 0;
    for (i : 0 .. NAMES - 1) {
        met[i] = 0;
        if
        :: (given) & bit(i) ->
            if :: fences_given -> clock[p].fence[i] = clock[p].seq :: else fi;
            if
            :: home(i) == p -> drained = drained | bit(i); met[i] = marks[i]
            :: else
            fi
        :: else
        fi
    }
    for (i : 0 .. KEYS - 1) {
        if
        :: home(i) == p ->
            if
            :: (given) & bit(i) -> reach = reach | bit(i)
            :: else ->
                for (m : 0 .. NAMES - 1) {
                    if
#ifdef WITHOUT_MEMBERS_WITHOUT_ENTRY_COUNT
                    :: (((given) | reach) & bit(m)) && (names[i] & bit(m)) -> reach = reach | bit(i)
#else
                    :: (((given) | reach) & bit(m)) && (members[m] & bit(i)) ->
                        reach = reach | bit(i);
#ifndef WITHOUT_REACHED_NAMES_ARE_CLOSED
                        /* Whoever has closed what led here closes this as well. */
                        closed[i] = closed[i] | closed[m]
#endif
#endif
                    :: else
                    fi
                }
            fi
        :: else
        fi
    }
    j = KEYS;
    do
    :: j == 0 -> break
    :: else ->
        j--;
        if
        :: !(reach & bit(j)) || is_cut_short
        :: else ->
            drained = drained | bit(j); met[j] = marks[j];
            if
            :: entry[j] && budget == 0 -> is_cut_short = true
            :: else ->
#ifndef WITHOUT_REMOVED_NAMES_ARE_FENCED
                if :: !((given) & bit(j)) -> clock[p].fence[j] = clock[p].seq :: else fi;
#endif
                is_depended_on(j);
#ifdef WITHOUT_MEMBERSHIPS_OUTLIVE_THEIR_WORK
                is_kept = false;
#endif
                if
                :: entry[j] -> budget--; leave(j, names[j]); entry[j] = 0; names[j] = 0
                :: else
                fi;
                /* It was reached through these, with or without an entry. */
                asked = 0;
                for (m : 0 .. NAMES - 1) {
                    if :: (((given) | reach) & bit(m)) && (members[m] & bit(j)) -> asked = asked | bit(m) :: else fi
                }
                leave(j, asked)
            fi
        fi
    od
}

/* Whether a load with these readings may store, or register, in a partition. */
inline admits(p, with, incarnation_of, seq_of) {
    ok = seq_of >= clock[p].floor;
#ifndef WITHOUT_INCARNATION_IS_CHECKED
    ok = ok && incarnation_of == clock[p].incarnation;
#endif
    for (m : 0 .. NAMES - 1) {
        if
        :: ((with) & bit(m)) && clock[p].fence[m] > seq_of -> ok = false
        :: else
        fi;
#ifndef WITHOUT_CLOSED_NAMES_REFUSE
        if :: ((with) & bit(m)) && home(m) == p && closed[m] -> ok = false :: else fi
#endif
    }
}

inline store(key, version, with) {
    if
    :: entry[key] -> is_depended_on(key); leave(key, names[key] & ~(with))
    :: else
    fi;
    entry[key] = version; names[key] = with;
    for (m : 0 .. NAMES - 1) {
        if :: (with) & bit(m) -> members[m] = members[m] | bit(key); died[m].each[key] = 0 :: else fi
    }
}

/* The homes of names, as bits. */
inline homes_of(with, result) {
    result = 0;
    for (m : 0 .. NAMES - 1) { if :: (with) & bit(m) -> result = result | bit(home(m)) :: else fi }
}

inline register(p, with, holder) {
    for (m : 0 .. NAMES - 1) {
        if
        :: ((with) & bit(m)) && home(m) == p -> 
            /* A mark that is made anew may have the stamp that an earlier one had. */
            stamp[m].each[holder] = (marks[m] & bit(holder) -> stamp[m].each[holder] + 1 : 1);
            marks[m] = marks[m] | bit(holder)
        :: else
        fi
    }
}

inline at_home(p, with) {
    asked = 0;
    for (m : 0 .. NAMES - 1) { if :: ((with) & bit(m)) && home(m) == p -> asked = asked | bit(m) :: else fi }
}

/* The readings of a load: of all clocks, when its lease was granted. */
typedef Readings { byte incarnation[PARTITIONS]; byte seq[PARTITIONS]; byte epoch }

#define DESCENDS 0
#define LOOKS 1
#define REGISTERS 2
#define FILLS 3
#define ENDS 4

/* A call: down to what is stored or to the data, and up again, storing what was made. */
proctype Call(byte top) {
    byte at, version, got, where, foreign;
    Readings read[KEYS];
    byte does = DESCENDS;
    bool is_refused;
    at = top;
    do
    :: does == DESCENDS -> atomic {
        if
        :: entry[at] ->
            version = entry[at]; printf("call of <%d>: <%d> is a hit, made from version %d\n", top, at, version);
#ifdef KEY_ALONE
            got = bit(at);
#else
            got = names[at] | bit(at);
#endif
            at++; does = (at > top -> ENDS : REGISTERS)
        :: else ->
            for (i : 0 .. PARTITIONS - 1) {
                read[at].incarnation[i] = clock[i].incarnation; read[at].seq[i] = clock[i].seq
            }
            read[at].epoch = retention; printf("call of <%d>: <%d> is a miss, the lease reads %d\n", top, at, read[at].seq[home(at)]);
            if :: at == A || at == V -> does = LOOKS :: else -> at-- fi
        fi;
        homes_of(got, foreign); foreign = foreign & ~bit(home(at)) }
    :: does == LOOKS -> atomic {
        version = data; printf("call of <%d>: reads the data, version %d\n", top, version); got = (at == A -> bit(T) : bit(B)); does = REGISTERS;
        homes_of(got, foreign); foreign = foreign & ~bit(home(at)) }
    :: does == REGISTERS && foreign == 0 -> does = FILLS
    :: does == REGISTERS && foreign != 0 -> atomic {
        where = 0;
        do :: !(foreign & bit(where)) -> where++ :: else -> break od;
        foreign = foreign & ~bit(where);
#ifndef WITHOUT_REGISTRATION
#ifdef WITHOUT_HOMES_CHECK
        ok = true;
#else
        at_home(where, got);
        admits(where, asked, read[at].incarnation[where], read[at].seq[where]);
#endif
        printf("call of <%d>: registers {%d} in partition %d: [%d]\n", top, got, where, ok);
        if :: ok -> register(where, got, home(at)) :: else -> is_refused = true fi;
#endif
        ok = false; where = 0 }
    :: does == FILLS -> atomic {
        where = home(at);
#ifdef WITHOUT_FILLS_CHECK_EVERY_NAME
        admits(where, bit(at), read[at].incarnation[where], read[at].seq[where]);
#else
        admits(where, got | bit(at), read[at].incarnation[where], read[at].seq[where]);
#endif
#ifndef WITHOUT_OLD_LOADS_ARE_REFUSED
        ok = ok && read[at].epoch == retention;
#endif
        printf("call of <%d>: fills <%d> with version %d and {%d}: [%d]\n", top, at, version, got, ok && !is_refused);
        if :: ok && !is_refused -> store(at, version, got) :: else fi;
        check();
        for (i : 0 .. PARTITIONS - 1) { read[at].incarnation[i] = 0; read[at].seq[i] = 0 }
        read[at].epoch = 0;
#ifdef KEY_ALONE
        /* What was not stored has no index: its caller depends on all that it was made from. */
        got = (ok && !is_refused -> bit(at) : got | bit(at));
#else
        got = got | bit(at);
#endif
        at++; ok = false; is_refused = false; where = 0;
        does = (at > top || top == V -> ENDS : REGISTERS);
        homes_of(got, foreign); foreign = foreign & ~bit(home(at)) }
    :: does == ENDS -> break
    od
}

/* The operation, as its client remembers it: names to be visited in each partition, and more. */
typedef Operation {
    byte todo[PARTITIONS];
    byte begun[PARTITIONS];   /* the incarnations at its begin */
    byte followed[NAMES];     /* marks that were met, as partitions: each is followed once */
    byte everywhere;          /* names whose home has lost its marks: visited everywhere, once */
#ifdef SETTLES
    byte number[NAMES];       /* of its last visit at the name's home */
    byte kept[PARTITIONS];    /* names of which something stayed */
    Stamps seen[NAMES];
#endif
}

inline begin_operation(given) {
    for (i : 0 .. PARTITIONS - 1) {
        at_home(i, given);
        op.todo[i] = asked; op.begun[i] = clock[i].incarnation
    }
}

/* One script of the operation, and what its reply adds to the worklist. */
inline step_operation(fences_given) {
    p = 0;
    do :: op.todo[p] == 0 -> p++ :: else -> break od;
    printf("operation %d: visits {%d} in partition %d\n", _pid, op.todo[p], p);
    visit(p, op.todo[p], fences_given);
    printf("... with number %d, and reaches {%d}\n", clock[p].seq, reach);
    for (i : 0 .. NAMES - 1) {
        for (k : 0 .. PARTITIONS - 1) {
            if
            :: k != p && (met[i] & bit(k)) && !(op.followed[i] & bit(k)) ->
#ifndef WITHOUT_MARKS_ARE_VISITED
                add[k] = add[k] | bit(i);
#endif
#ifdef SETTLES
                op.seen[i].each[k] = stamp[i].each[k];
#endif
                op.followed[i] = op.followed[i] | bit(k)
            :: else
            fi;
#ifndef WITHOUT_LOST_HOMES_ARE_VISITED_EVERYWHERE
            if
            :: k != p && (drained & bit(i)) && home(i) == p && !(op.everywhere & bit(i)) &&
               (!clock[p].is_complete || clock[p].incarnation != op.begun[p]) -> add[k] = add[k] | bit(i)
            :: else
            fi
#endif
        }
        if
        :: (drained & bit(i)) && home(i) == p &&
           (!clock[p].is_complete || clock[p].incarnation != op.begun[p]) -> op.everywhere = op.everywhere | bit(i)
        :: else
        fi;
#ifdef SETTLES
        if :: (drained & bit(i)) && home(i) == p -> op.number[i] = clock[p].seq :: else fi;
        for (k : 0 .. KEYS - 1) {
            if
            :: (op.todo[p] & bit(i)) && (members[i] & bit(k)) && home(k) == p -> op.kept[p] = op.kept[p] | bit(i)
            :: else
            fi
        }
#endif
    }
    if :: !is_cut_short -> op.todo[p] = 0 :: else fi;
    for (k : 0 .. PARTITIONS - 1) { op.todo[k] = op.todo[k] | add[k]; add[k] = 0 }
    rest = 0;
    for (k : 0 .. PARTITIONS - 1) { rest = rest | op.todo[k] }
}
/* Marks that the operation met and followed, and that nothing hangs on any more. */
inline settle(h) {
    for (i : 0 .. NAMES - 1) {
        for (k : 0 .. PARTITIONS - 1) {
            ok = home(i) == h && (op.followed[i] & bit(k)) && clock[h].incarnation == op.begun[h];
#ifndef WITHOUT_SETTLING_COMPARES_STAMPS
            ok = ok && stamp[i].each[k] == op.seen[i].each[k];
#endif
#ifndef WITHOUT_SETTLING_COMPARES_FENCES
            ok = ok && clock[h].fence[i] == op.number[i];
#endif
#ifndef WITHOUT_KEPT_NAMES_KEEP_THEIR_MARK
            ok = ok && !(op.kept[k] & bit(i));
#endif
            if
            :: ok ->
                marks[i] = marks[i] & ~bit(k);
                printf("operation %d: settles <%d>: no mark of partition %d any more\n", _pid, i, k)
            :: else
            fi
        }
    }
}

inline require(version) {
    printf("operation %d: has changed the data to version %d, and returns\n", _pid, version);
    if :: (version) > required -> required = version :: else fi
}

/* The operation runs until nothing is left to do, or until it crashes. */
inline run_operation(fences_given) {
    do
    :: atomic { step_operation(fences_given); check(); if :: rest == 0 -> break :: else fi }
       if
       :: crashes -> crashes--; goto ended
       :: true
       fi
    od
}

#if INVALIDATIONS
/* Changes the data, then invalidates. */
proctype Invalidate() {
    byte version;
    Operation op;
    atomic { data++; version = data; begin_operation(GIVEN) }
#ifdef WITHOUT_GIVEN_NAMES_ARE_FENCED
    run_operation(false);
#else
    run_operation(true);
#endif
    atomic { require(version); check() }
#ifdef SETTLES
    byte h = 0;
    do
    :: h < PARTITIONS -> atomic { settle(h); check(); h++ }
    :: else -> break
    od;
#endif
ended: skip
}
#endif

#if WRITES
/* Changes the data, and puts what A is now. */
proctype Write() {
    byte version, h;
    bool is_refused;
    Readings read;
    Operation op;
    atomic {
        for (i : 0 .. PARTITIONS - 1) { read.incarnation[i] = clock[i].incarnation; read.seq[i] = clock[i].seq }
    }
    atomic { data++; version = data }
    if
    :: home(T) != home(A) -> atomic {
        h = home(T);
        admits(h, bit(T), read.incarnation[h], read.seq[h]);
        if :: ok -> register(h, bit(T), home(A)) :: else -> is_refused = true fi;
        h = 0 }
    :: else
    fi;
again:
    atomic {
        admits(home(A), bit(T) | bit(A), read.incarnation[home(A)], read.seq[home(A)]);
        is_refused = is_refused || !ok;
        begin_operation(bit(A));
#ifdef WITHOUT_WRITES_FENCE_THEIR_KEY
        step_operation(false);
#else
        step_operation(true);
#endif
        printf("operation %d: puts <0> with version %d: [%d]\n", _pid, version, !is_refused && !is_cut_short);
        /* Beyond its budget a write stores nothing. */
        if :: !is_refused && !is_cut_short -> store(A, version, bit(T)) :: else fi;
        is_refused = is_refused || is_cut_short;
        check()
    }
    if
    :: atomic { resends -> resends--; is_refused = false; goto again }
    :: true
    fi;
    do
    :: atomic {
        rest = 0;
        for (k : 0 .. PARTITIONS - 1) { rest = rest | op.todo[k] }
        if :: rest == 0 -> break :: else -> step_operation(true); check() fi }
    od;
    atomic { require(version); check() }
}
#endif

#if CLOSINGS
/* Marks go, and what they closed is fenced: loads that began before may have read old data. */
inline open(me) {
    printf("operation %d: opens <4>\n", _pid);
    visit(0, 0, false);
    for (i : 0 .. NAMES - 1) {
        if
        :: closed[i] & bit(me) ->
            closed[i] = closed[i] & ~bit(me);
#ifndef WITHOUT_REACHED_NAMES_ARE_FENCED
            if :: i != T -> clock[0].fence[i] = clock[0].seq :: else fi;
#endif
#ifndef WITHOUT_OPENING_FENCES
            if :: i == T -> clock[0].fence[i] = clock[0].seq :: else fi;
#endif
            skip
        :: else
        fi
    }
}

/* Nobody renewed a mark: its operation may have changed the data or not. */
inline end_mark(me) {
    printf("time: what was closed is open again, for nobody renewed it\n");
    visit(0, 0, false);
    for (i : 0 .. NAMES - 1) {
        if
        :: closed[i] & bit(me) ->
            closed[i] = closed[i] & ~bit(me);
#ifndef WITHOUT_ENDED_MARKS_FENCE
            clock[0].fence[i] = clock[0].seq;
#endif
            skip
        :: else
        fi
    }
}

/* Changes the data while T is closed, on one server. */
proctype Around(byte me) {
    Operation op;
    atomic {
        /* The second begins while the first has closed something: else they do not overlap. */
        me == 0 || closed[T];
        begin_operation(bit(T));
#ifndef WITHOUT_CLOSINGS_SHARE_WHAT_THEY_REACH
        for (k : 0 .. KEYS - 1) { if :: closed[T] & closed[k] -> closed[k] = closed[k] | bit(me) :: else fi }
#endif
        closed[T] = closed[T] | bit(me);
        printf("operation %d: closes <4>\n", _pid);
        step_operation(true);
        check()
    }
    do
    :: op.todo[0] -> atomic { step_operation(true); check() }
    :: else -> break
    od;
    if
    :: crashes -> crashes--; goto ended
    :: true
    fi;
    /* The commit, if the mark is still there. Nobody may see what was before it from here on. */
    atomic {
        if
        :: !(closed[T] & bit(me)) -> goto ended
        :: else -> data++; require(data); check()
        fi
    }
    if
    :: crashes -> crashes--; goto ended
    :: true
    fi;
    atomic { open(me); check() }
ended: skip
}
#endif

#if SWEEPS
/* Changes the data, then walks all keys and all indexes for what A's key matches. */
proctype Sweep() {
    byte version, page;
    Operation op;
    atomic { data++; version = data }
    do
    :: page < 2 * PARTITIONS * KEYS -> atomic {
        /* Twice all keys of each partition: values, then indexes whose entry is gone. */
        p = page / (2 * KEYS); k = page % KEYS; m = (page % (2 * KEYS)) / KEYS;
#ifndef WITHOUT_SWEEP_RAISES_THE_FLOOR
        clock[p].floor = clock[p].seq + 1;
#endif
        clock[p].seq++;
        page++;
        printf("operation %d: page %d of the walk\n", _pid, page);
        if
        :: k == A && home(A) == p && ((m == 0 && entry[A]) || (m == 1 && (members[A] || marks[A]))) ->
#ifdef WITHOUT_SWEEP_FOLLOWS_ENTRIES_THAT_ARE_GONE
            if :: m == 0 -> begin_operation(bit(A)) :: else fi
#else
            begin_operation(bit(A))
#endif
        :: else
        fi;
        check() }
        do
        :: atomic {
            rest = 0;
            for (k : 0 .. PARTITIONS - 1) { rest = rest | op.todo[k] }
            if :: rest == 0 -> break :: else -> step_operation(true); check() fi }
        od
    :: else -> break
    od;
    atomic { require(version); check() }
}
#endif

#if DROPS
inline drop_fence(name) {
    printf("dropped: the fence of <%d>\n", name);
    drops--;
#ifndef WITHOUT_DROPPED_FENCES_RAISE_THE_FLOOR
    if :: clock[0].fence[name] > clock[0].floor -> clock[0].floor = clock[0].fence[name] :: else fi;
#endif
    clock[0].fence[name] = 0
}
#endif

#if LOSSES
inline lose(h) {
    printf("lost: the clock of partition %d, or all of it\n", h);
    clock[h].incarnation++; clock[h].seq = 1; clock[h].floor = 1; clock[h].is_complete = false;
    for (i : 0 .. NAMES - 1) { clock[h].fence[i] = 0 }
#ifndef CLOCK_ALONE
    for (i : 0 .. KEYS - 1) {
        if
        :: home(i) == h ->
            entry[i] = 0; names[i] = 0;
            for (k : 0 .. NAMES - 1) { members[k] = members[k] & ~bit(i); died[k].each[i] = 0 }
        :: else
        fi
    }
    for (i : 0 .. NAMES - 1) { if :: home(i) == h -> marks[i] = 0 :: else fi }
#endif
}
#endif

inline expire(key) {
    printf("<%d> expires\n", key);
    expiries--; is_kept = true; leave(key, names[key]); entry[key] = 0; names[key] = 0; check()
}

/* What may happen at any moment. */
proctype Chance() {
    do
#if EXPIRIES
    :: atomic { expiries && entry[A] -> expire(A) }
    :: atomic { expiries && entry[B] -> expire(B) }
    :: atomic { expiries && entry[C] -> expire(C) }
    :: atomic { expiries && entry[V] -> expire(V) }
#endif
#if RETENTIONS
    :: retentions -> atomic { retentions--; retention++; printf("time: a retention passes\n") }
#endif
#if DROPS
    :: atomic { drops && clock[0].fence[A] -> drop_fence(A) }
    :: atomic { drops && clock[0].fence[B] -> drop_fence(B) }
    :: atomic { drops && clock[0].fence[C] -> drop_fence(C) }
    :: atomic { drops && clock[0].fence[V] -> drop_fence(V) }
    :: atomic { drops && clock[0].fence[T] -> drop_fence(T) }
#endif
#if LOSSES
    :: atomic { losses && (LOST & 1) -> losses--; lose(0); check() }
#if PARTITIONS > 1
    :: atomic { losses && (LOST & 2) -> losses--; lose(1); check() }
#endif
#if PARTITIONS > 2
    :: atomic { losses && (LOST & 4) -> losses--; lose(2); check() }
#endif
#endif
#if CLOSINGS && MARK_ENDS
    :: mark_ends -> atomic { mark_ends--; end_mark(0); end_mark(1); check() }
#endif
#if RETENTIONS
    :: retention > 1 -> atomic {
        /* Reaping: a membership that is dead for so long that no load is on its way that read it. */
        for (i : 0 .. NAMES - 1) {
            for (k : 0 .. KEYS - 1) {
                is_depended_on(k);
#ifdef WITHOUT_DEPENDED_ON_MEMBERS_STAY
                is_kept = false;
#endif
#ifndef WITHOUT_DEAD_MEMBERS_STAY_A_WHILE
                is_kept = is_kept || died[i].each[k] >= retention;
#endif
                if
                :: (members[i] & bit(k)) && !(names[k] & bit(i)) && !is_kept -> members[i] = members[i] & ~bit(k); died[i].each[k] = 0
                :: else
                fi
            }
        }
        check() }
#endif
    :: true -> break
    od
}

init {
    byte x;
    atomic { for (x : 0 .. PARTITIONS - 1) {
        clock[x].incarnation = 1; clock[x].seq = 1; clock[x].floor = 1; clock[x].is_complete = true } }
    for (x : 0 .. KEYS - 1) { if :: STORED & bit(x) -> run Call(x); _nr_pr == 1 :: else fi }
    atomic {
        for (x : 0 .. KEYS - 1) {
            if :: LOADS & bit(x) -> run Call(x) :: else fi;
            if :: MORE_LOADS & bit(x) -> run Call(x) :: else fi
        }
#if INVALIDATIONS
        x = 0;
        do :: x < INVALIDATIONS -> run Invalidate(); x++ :: else -> break od;
#endif
#if WRITES
        x = 0;
        do :: x < WRITES -> run Write(); x++ :: else -> break od;
#endif
#if CLOSINGS
        x = 0;
        do :: x < CLOSINGS -> run Around(x); x++ :: else -> break od;
#endif
#if SWEEPS
        x = 0;
        do :: x < SWEEPS -> run Sweep(); x++ :: else -> break od;
#endif
        x = 0;
        run Chance()
    }
}
