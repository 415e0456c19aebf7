/* The protocol of docs/handover.md: a source, two destinations, and a world that may do anything to them.
 *
 *   spin -a handover.pml         with the ownership word (a UNIX socket; RAM passed or copied)
 *   spin -DTCP -a handover.pml   without it: LOADED, GO, RUNNING
 *
 * Each process is a table of rows: in which state, on what, does it do what.  A row is one step.  Between any two the
 * world may kill a process (a crash, SIGKILL, `quit`: each ends it where it is and leaves the word as it is), hang it
 * for ever, break a connection, cancel, or answer a source that waits for its operator.  It may also do nothing, so what
 * only it could end would stand still.  A time-out may come at once, or late.  Errors of a process's own (a refusal, a
 * failure to save or to load) are choices in its rows.
 *
 * The source tries up to twice.  The first attempt goes to destination 0, the second to destination 0 again, if it
 * listens, or to destination 1, while destination 0 may still be anywhere in the first.
 *
 * No run is endless, so what must happen in the end is a matter of the last state of a run: Judge sets `ended` there.
 * model/check searches everything, without bounds and without approximation; README.md has the tables.
 *
 * One step here and several in the program, because what lies between cannot be told from outside:
 *   - to receive, to do one's own work and to answer: a crash between is one before the receipt (nobody else reads
 *     what a dead process leaves unread), or one after the answer, of which nothing arrived (cut() has that);
 *   - to send REFUSED and to close: the same.
 *
 * The #ifdefs are mutants, each of which the check must find out.
 */

mtype = { HELLO, WELCOME, PREPARE, READY, RAM, STATE, LOADED, GO, RUNNING, REFUSED };
mtype:word = { SOURCE, DESTINATION, RESUMED };
mtype:fate = { LIVES, DIED, HANGS };
mtype:asked = { NOTHING, CANCEL, CONTINUE };

/* The states of docs/handover.md, and between them:
 *   AT_HOME    the source before the first attempt and after a failed one
 *   ROLLS_BACK on its way there: the word has been taken back, or STATE was never sent
 *   UNKNOWN    over TCP: the source gave the guest away and has had no answer
 *   CONTINUED  `cont` after that
 *   OWNED      the destination owns the guest, and does not run it yet
 *   ENTERED    it runs the guest, and has not said so
 *   LOST       it gave up, without a whole state
 *   UNFIT      it gave up for an error of its own
 *   TOO_LATE   it gave up although the whole state (over TCP: GO) had come
 *   PEEKED     in mutants: it has read the word and not yet written it
 */
mtype:step = { AT_HOME, IN_HELLO, IN_PREPARE, IN_COPY, PRE_SWITCHOVER, SWITCHOVER, ROLLS_BACK, GIVEN, UNKNOWN, CONTINUED,
               LISTENING, IN_WELCOMED, IN_READY, IN_LOADED, OWNED, ENTERED, LOST, UNFIT, TOO_LATE, COMPLETED, PEEKED };

/* Each attempt has a connection and a word. */
byte attempts = 0;               /* made so far */
byte a = 0;                      /* the present or last one */
byte target[2] = 2;              /* the destination it went to; 2: none yet */
bool waits[2];                   /* HELLO: waits-before-state */
bool open[2];                    /* its connection is */
chan to_destination[2] = [3] of { mtype };
chan to_source[2] = [2] of { mtype };
mtype:word word[2] = SOURCE;

mtype:fate source_fate = LIVES;
mtype:step source_step = AT_HOME;
bool source_runs = true;         /* its vCPUs may execute the guest */
mtype:asked asked = NOTHING;     /* by the source's operator */

mtype:fate fate[2] = LIVES;
mtype:step step[2] = LISTENING;
bool runs[2];
byte connection[2];              /* of the attempt with this number */
byte next[2];                    /* the first attempt that it has not accepted yet */

/* Read by the properties alone. */
bool taken;                      /* a destination has owned the guest */
bool owner_gone;                 /* the process that owned the guest died or hangs: as with any VMM that does */
bool cancelled;                  /* the last attempt was, before a destination had the guest */
bool ended;                      /* nothing happens any more */

#ifdef WORD_REUSED
#define WORD(c) word[0]
#else
#define WORD(c) word[c]
#endif

/* By the socket and the pidfd.  What has arrived is read before. */
#if defined(NO_WATCH) || defined(NOTHING_WATCHED)
#define BROKEN(c, in) false
#elif defined(DEAF_WATCH)
#define BROKEN(c, in) (!open[c])
#else
#define BROKEN(c, in) (!open[c] && empty(in))
#endif

#if defined(NO_TIME_OUTS) || defined(NOTHING_WATCHED)
#define TIME_OUT false
#else
#define TIME_OUT true
#endif

/* A destination that gives up looks once more whether STATE has come: the source may be dead by then.  One step: it
 * stops reading (shutdown(SHUT_RD), or the like) before that last look. */
#ifdef DEAF_TIME_OUT
#define TIME_OUT_OF(in) TIME_OUT
#else
#define TIME_OUT_OF(in) (TIME_OUT && empty(in))
#endif

/* --- Connections.  All of these are parts of atomic steps. --- */

inline say(c, out, message) {
  if
  :: open[c] -> out ! message
  :: else -> skip
  fi
}

inline drain(line) {
  do
  :: line ? _
  :: empty(line) -> break
  od
}

/* Of what was sent in this direction, any first part arrived. */
inline cut(line) {
  left = len(line);
  do
  :: left == 0 -> break
  :: left > 0 ->
     line ? message;
     left--;
     if
     :: !cutting -> line ! message
     :: cutting = true
     fi
  od;
  cutting = false;
  message = 0
}

/* Closes one's end: what one has sent may be cut, and what comes is not read any more. */
inline hang_up(c, out, in) {
  if
  :: open[c] -> open[c] = false; cut(out)
  :: else -> skip
  fi;
  drain(in)
}

/* --- The source --- */

#define SOURCE_IN(s) (source_fate == LIVES && source_step == s)
#define IN to_source[a]
#define OUT to_destination[a]
#define FAILS (IN ? [REFUSED] || BROKEN(a, IN) || TIME_OUT)

inline source_gives_up() {
  cancelled = (asked == CANCEL);
  source_step = ROLLS_BACK
}

/* The pause begins. */
inline source_stops() {
  source_step = PRE_SWITCHOVER;
  source_runs = false
}

/* The answer came, or anything else: only the word tells. */
inline source_asks_the_word(by_answer) {
  if
#if defined(RESUME_UNASKED)
  :: source_gives_up()
#elif defined(PLAIN_WRITE_SOURCE)
  :: WORD(a) == SOURCE -> source_step = PEEKED
#else
  :: WORD(a) == SOURCE -> WORD(a) = RESUMED; source_gives_up()
#endif
#ifndef RESUME_UNASKED
  :: WORD(a) != SOURCE && by_answer -> source_completes()
  :: WORD(a) != SOURCE && !by_answer -> source_step = GIVEN
#endif
  fi
}

inline source_completes() {
  source_step = COMPLETED;
  hang_up(a, OUT, IN)
}

active proctype Source() {
  byte left;
  bool cutting;
  mtype message;

end:
  do
  /* hello, prepare, copy: the guest runs */
  :: atomic { SOURCE_IN(IN_HELLO) && IN ? [WELCOME] ->
              IN ? WELCOME;
              source_step = IN_PREPARE;
#ifdef WORD_REUSED
              word[0] = SOURCE;
#endif
              say(a, OUT, PREPARE) }
  :: atomic { SOURCE_IN(IN_PREPARE) && IN ? [READY] ->
              IN ? READY;
              if
#ifndef TCP
              :: source_stops()                                  /* local */
#endif
              :: source_step = IN_COPY; say(a, OUT, RAM)         /* copied */
              fi }
  :: atomic { SOURCE_IN(IN_COPY) -> source_stops() }
  :: atomic { (SOURCE_IN(IN_HELLO) || SOURCE_IN(IN_PREPARE) || SOURCE_IN(IN_COPY)) &&
              (FAILS || asked == CANCEL) -> source_gives_up() }

  /* pre-switchover: the guest is held still; no time limit if the operator is asked */
  :: atomic { SOURCE_IN(PRE_SWITCHOVER) && (!waits[a] || asked == CONTINUE) ->
              if
              :: asked = (asked == CONTINUE -> NOTHING : asked);
                 source_step = SWITCHOVER;
                 say(a, OUT, STATE)
              :: source_gives_up()                               /* saving fails, or the guest cannot go on */
              fi }
  :: atomic { SOURCE_IN(PRE_SWITCHOVER) && waits[a] && (IN ? [REFUSED] || BROKEN(a, IN)) -> source_gives_up() }
#ifndef DEAF_TO_CANCEL
  :: atomic { SOURCE_IN(PRE_SWITCHOVER) && waits[a] && asked == CANCEL -> source_gives_up() }
#endif

#ifndef TCP
  /* switchover and given, with the word */
  :: atomic { SOURCE_IN(SWITCHOVER) && IN ? [RUNNING] -> IN ? RUNNING; source_asks_the_word(true) }
#ifdef RELEASE_UNASKED
  :: atomic { SOURCE_IN(SWITCHOVER) && BROKEN(a, IN) -> source_completes() }
#endif
  :: atomic { SOURCE_IN(SWITCHOVER) && (FAILS || asked == CANCEL) -> source_asks_the_word(false) }
#ifdef PLAIN_WRITE_SOURCE
  :: atomic { SOURCE_IN(PEEKED) -> WORD(a) = RESUMED; source_gives_up() }
#endif
  :: atomic { SOURCE_IN(GIVEN) && (IN ? [RUNNING] || FAILS) -> source_completes() }
#else
  /* and without: from GO on it never takes the guest back by itself */
  :: atomic { SOURCE_IN(SWITCHOVER) && IN ? [LOADED] -> IN ? LOADED; source_step = GIVEN; say(a, OUT, GO) }
  :: atomic { SOURCE_IN(SWITCHOVER) && (FAILS || asked == CANCEL) -> source_gives_up() }
  :: atomic { SOURCE_IN(GIVEN) && IN ? [RUNNING] -> source_completes() }
#ifdef RESUME_AFTER_GO
  :: atomic { SOURCE_IN(GIVEN) && FAILS -> source_gives_up() }
#else
  :: atomic { SOURCE_IN(GIVEN) && FAILS -> source_step = UNKNOWN; hang_up(a, OUT, IN) }
#endif
#endif

  /* roll-back.  The word is marked after every failure, so that a destination that got ready all the same can never
   * take the guest. */
  :: atomic { SOURCE_IN(ROLLS_BACK) ->
              source_step = AT_HOME;
#ifdef CANCEL_FORGETS
              source_runs = source_runs || !cancelled;
#else
              source_runs = true;
#endif
#ifndef TCP
              WORD(a) = (WORD(a) == SOURCE -> RESUMED : WORD(a));
#endif
              asked = NOTHING;
              say(a, OUT, REFUSED);
              hang_up(a, OUT, IN) }
  od
}
#undef IN
#undef OUT

/* --- A destination --- */

#define DESTINATION_IN(s) (fate[d] == LIVES && step[d] == s)
#define IN to_destination[connection[d]]
#define OUT to_source[connection[d]]
#define SOURCE_FAILS (IN ? [REFUSED] || BROKEN(connection[d], IN))

inline destination_gives_up(as) {
  step[d] = as;
  if
  :: as == LOST && (IN ?? [STATE] || IN ?? [GO]) -> step[d] = TOO_LATE
  :: else -> skip
  fi;
  runs[d] = false;
  say(connection[d], OUT, REFUSED);
  hang_up(connection[d], OUT, IN)
}

inline destination_accepts(c) {
  connection[d] = c;
  next[d] = c + 1;
  step[d] = IN_HELLO
}

proctype Destination(byte d) {
  byte left;
  bool cutting;
  mtype message;

end:
  do
  /* One source at a time; HELLO of another waits in the backlog. */
  :: atomic { DESTINATION_IN(LISTENING) && next[d] == 0 && target[0] == d -> destination_accepts(0) }
  :: atomic { DESTINATION_IN(LISTENING) && next[d] <= 1 && target[1] == d -> destination_accepts(1) }

  /* hello and welcomed: it holds nothing, and listens again */
  :: atomic { DESTINATION_IN(IN_HELLO) && IN ? [HELLO] ->
              IN ? HELLO;
              if
              :: step[d] = IN_WELCOMED; say(connection[d], OUT, WELCOME)
              :: destination_gives_up(LISTENING)                 /* the manifests differ */
              fi }
  :: atomic { DESTINATION_IN(IN_WELCOMED) && IN ? [PREPARE] ->
              IN ? PREPARE;
              if
              :: step[d] = IN_READY; say(connection[d], OUT, READY)
              :: destination_gives_up(UNFIT)                     /* to map, to open, to rehearse */
              fi }
  :: atomic { (DESTINATION_IN(IN_HELLO) || DESTINATION_IN(IN_WELCOMED)) && (SOURCE_FAILS || TIME_OUT) ->
              destination_gives_up(LISTENING) }

  /* ready: it holds a part, of no use without the rest */
  :: atomic { DESTINATION_IN(IN_READY) && IN ? [RAM] ->
              IN ? RAM;
              if
              :: skip
              :: destination_gives_up(UNFIT)
              fi }
  :: atomic { DESTINATION_IN(IN_READY) && IN ? [STATE] ->
              IN ? STATE;
              if
#ifdef TCP
              :: say(connection[d], OUT, LOADED);
#else
              ::
#endif
                 step[d] = IN_LOADED;
#ifdef RUN_BEFORE_CLAIM
                 runs[d] = true
#endif
              :: destination_gives_up(UNFIT)                     /* the state is refused */
              fi }
  :: atomic { DESTINATION_IN(IN_READY) && SOURCE_FAILS -> destination_gives_up(LOST) }
#ifdef WAITS_ANEW
  :: atomic { DESTINATION_IN(IN_READY) && !waits[connection[d]] -> skip }
#else
  :: atomic { DESTINATION_IN(IN_READY) && !waits[connection[d]] && TIME_OUT_OF(IN) -> destination_gives_up(LOST) }
#endif

  /* own */
#ifdef TCP
#ifdef RUN_WITHOUT_GO
  :: atomic { DESTINATION_IN(IN_LOADED) -> step[d] = OWNED; taken = true }
#else
  /* No time limit: the source may have given the guest away. */
  :: atomic { DESTINATION_IN(IN_LOADED) && IN ? [GO] -> IN ? GO; step[d] = OWNED; taken = true }
  :: atomic { DESTINATION_IN(IN_LOADED) && SOURCE_FAILS -> destination_gives_up(LOST) }
#endif
#else
  :: atomic { DESTINATION_IN(IN_LOADED) ->
              if
#ifdef PLAIN_WRITE_DESTINATION
              :: WORD(connection[d]) == SOURCE -> step[d] = PEEKED
#else
              :: WORD(connection[d]) == SOURCE -> WORD(connection[d]) = DESTINATION; step[d] = OWNED; taken = true
#endif
              :: else -> destination_gives_up(TOO_LATE)
              fi }
#ifdef PLAIN_WRITE_DESTINATION
  :: atomic { DESTINATION_IN(PEEKED) -> WORD(connection[d]) = DESTINATION; step[d] = OWNED; taken = true }
#endif
#endif
  :: atomic { DESTINATION_IN(OWNED) -> runs[d] = true; step[d] = ENTERED }
  :: atomic { DESTINATION_IN(ENTERED) ->
              step[d] = COMPLETED;
              say(connection[d], OUT, RUNNING);
              hang_up(connection[d], OUT, IN) }
  od
}
#undef IN
#undef OUT

/* --- The world --- */

/* Whose is the guest?  In switchover with a word: of whoever takes it. */
#ifdef TCP
#define SOURCE_GAVE (source_step == GIVEN || source_step == UNKNOWN || source_step == COMPLETED)
#else
#define SOURCE_GAVE (source_step == SWITCHOVER || source_step == GIVEN || source_step == COMPLETED)
#endif
#define DESTINATION_OWNS(d) (step[d] == OWNED || step[d] == ENTERED || step[d] == COMPLETED)
#define IN_PROGRESS (source_step == IN_HELLO || source_step == IN_PREPARE || source_step == IN_COPY || \
                     source_step == PRE_SWITCHOVER || source_step == SWITCHOVER || source_step == GIVEN)

inline strike_source(how) {
  source_fate = how;
  owner_gone = owner_gone || !SOURCE_GAVE;
#ifdef QUIT_TAKES_BACK
  WORD(a) = (WORD(a) == SOURCE -> RESUMED : WORD(a));
#endif
  if
  :: how == DIED -> source_runs = false; hang_up(a, to_destination[a], to_source[a])
  :: else -> skip
  fi
}

inline strike(d, how) {
  fate[d] = how;
  owner_gone = owner_gone || DESTINATION_OWNS(d);
  if
  :: how == DIED ->
     runs[d] = false;
     if
     :: target[0] == d -> hang_up(0, to_source[0], to_destination[0])
     :: else -> skip
     fi;
     if
     :: target[1] == d -> hang_up(1, to_source[1], to_destination[1])
     :: else -> skip
     fi
  :: else -> skip
  fi
}

/* After an unknown outcome the operator may use `cont`, once the destination can never run the guest: that it does not
 * run it now says nothing, because GO may be on its way. */
#ifdef CONTINUED_TOO_EARLY
#define NEVER_RUNS(d) (!runs[d])
#else
#define NEVER_RUNS(d) (fate[d] == DIED || step[d] == LOST || step[d] == UNFIT)
#endif

/* What can be struck: a process that has given up takes no part any more, and one that nobody has called yet is like the
 * one that was called. */
#define TAKES_PART(d) (fate[d] == LIVES && step[d] != LOST && step[d] != UNFIT && step[d] != TOO_LATE && \
                       (d == 0 || target[1] == d))

active proctype World() {
  byte left;
  bool cutting;
  mtype message;

  do
  :: atomic { source_fate == LIVES -> strike_source(DIED) }
  :: atomic { source_fate == LIVES -> strike_source(HANGS) }
  :: atomic { TAKES_PART(0) -> strike(0, DIED) }
  :: atomic { TAKES_PART(0) -> strike(0, HANGS) }
  :: atomic { TAKES_PART(1) -> strike(1, DIED) }
  :: atomic { TAKES_PART(1) -> strike(1, HANGS) }
  :: atomic { open[a] -> open[a] = false; cut(to_destination[a]); cut(to_source[a]) }

  /* The source's operator.  A connection to a process that is gone fails at once. */
  :: atomic { SOURCE_IN(AT_HOME) && attempts < 2 ->
              a = attempts;
              attempts++;
              cancelled = false;
              if
              :: target[a] = 0
              :: a == 1 -> target[a] = 1
              fi;
              if
              :: waits[a] = true
              :: skip
              fi;
              open[a] = (fate[target[a]] != DIED);
              source_step = IN_HELLO;
              say(a, to_destination[a], HELLO) }
  :: atomic { source_fate == LIVES && asked == NOTHING && IN_PROGRESS -> asked = CANCEL }
  :: atomic { SOURCE_IN(PRE_SWITCHOVER) && asked == NOTHING && waits[a] -> asked = CONTINUE }
#ifdef TCP
  :: atomic { SOURCE_IN(UNKNOWN) && NEVER_RUNS(target[a]) -> source_step = CONTINUED; source_runs = true }
#endif
  :: break
  od
}

active proctype Judge() {
  timeout -> ended = true
}

init {
  atomic { run Destination(0); run Destination(1) }
}

/* --- The properties --- */

/* The one wait without limit that may last: for the source's operator, while the destination is there. */
#define HELD_STILL (SOURCE_IN(PRE_SWITCHOVER) && waits[a] && open[a] && asked == NOTHING)
#define RUNS_SOMEWHERE (source_runs || runs[0] || runs[1])
/* The source ended where the destination may have the guest or not; or it lives and cannot know. */
#ifdef TCP
#define LEFT_OPEN (source_step == UNKNOWN || (source_fate != LIVES && source_step == GIVEN))
#else
#define LEFT_OPEN (source_fate != LIVES && source_step == SWITCHOVER)
#endif
/* It lives, the whole state came to it, and the source did not take the guest back: it should run it. */
#define LET_IT_GO(d) (fate[d] == LIVES && target[a] == d && step[d] == TOO_LATE)
#define SOURCE_AT_REST (source_fate != LIVES || HELD_STILL || source_step == AT_HOME || source_step == COMPLETED || \
                        source_step == UNKNOWN || source_step == CONTINUED)
/* It may wait for a source that hangs with the connection open: of a living one there is no telling. */
#define AT_REST(d) (fate[d] != LIVES || step[d] == LISTENING || step[d] == LOST || step[d] == UNFIT || \
                    step[d] == TOO_LATE || step[d] == COMPLETED || \
                    (open[connection[d]] && (HELD_STILL || source_fate == HANGS)))

#define ONE_OWNER !((source_runs && (runs[0] || runs[1])) || (runs[0] && runs[1]))
#ifdef TCP
#define RELEASED_MEANS_TAKEN (source_step == COMPLETED -> taken)
#else
#define RELEASED_MEANS_TAKEN (source_step == COMPLETED -> taken && WORD(a) == DESTINATION)
#endif
#define SURVIVES (ended -> RUNS_SOMEWHERE || owner_gone || HELD_STILL || LEFT_OPEN)
#define GOES_ON_THERE (ended && LEFT_OPEN -> !LET_IT_GO(0) && !LET_IT_GO(1))
#define GOES_ON_HERE (ended && source_fate == LIVES && !SOURCE_GAVE && !HELD_STILL -> source_runs)
#define CANCEL_KEEPS (cancelled -> !runs[0] && !runs[1] && (ended && source_fate == LIVES -> source_runs))
#define EVERY_WAIT_ENDS (ended -> SOURCE_AT_REST && AT_REST(0) && AT_REST(1))

ltl one_owner { [] (ONE_OWNER) }
ltl released_means_taken { [] (RELEASED_MEANS_TAKEN) }
ltl survives { [] (SURVIVES) }
ltl goes_on_there { [] (GOES_ON_THERE) }
ltl goes_on_here { [] (GOES_ON_HERE) }
ltl cancel_keeps { [] (CANCEL_KEEPS) }
ltl every_wait_ends { [] (EVERY_WAIT_ENDS) }
/* In one search. */
ltl all { [] ((ONE_OWNER) && (RELEASED_MEANS_TAKEN) && (SURVIVES) && (GOES_ON_THERE) && (GOES_ON_HERE) && (CANCEL_KEEPS) &&
              (EVERY_WAIT_ENDS)) }

/* Not promises but sights: each must be found violated, or the model does not get that far. */
ltl sees_success { [] !(source_step == COMPLETED && runs[0] && attempts == 1) }
ltl sees_success_there_again { [] !(source_step == COMPLETED && runs[0] && attempts == 2) }
ltl sees_success_elsewhere { [] !(source_step == COMPLETED && runs[1] && fate[0] == LIVES && step[0] == IN_LOADED) }
ltl sees_late_roll_back { [] !(source_step == AT_HOME && source_runs && step[0] == IN_LOADED) }
#ifdef TCP
ltl sees_unknown_that_runs { [] !(ended && source_step == UNKNOWN && runs[0]) }
ltl sees_unknown_that_is_lost { [] !(ended && source_step == UNKNOWN && step[0] == LOST) }
ltl sees_cont { [] !(source_step == CONTINUED) }
#else
ltl sees_survival_of_source { [] !(source_fate == DIED && source_step == SWITCHOVER && runs[0]) }
ltl sees_late_cancel { [] !(source_step == GIVEN && runs[0] && asked == CANCEL) }
#endif
