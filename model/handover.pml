/* The hand-over of docs/handover.md: both sides, the word in shared memory that says who may run the guest, and
 * everything that can go wrong between them.  Checked exhaustively by model/check.
 *
 * What may happen at any step: either process dies, the connection breaks, a wait times out, the operator cancels,
 * either side meets an error of its own.  What may never happen: two processes run the guest; the guest stands still
 * although a live process holds its whole state and nobody else has taken it.
 *
 * Mutants, to show that the checks can fail:
 *   -DPLAIN_WRITE     the destination writes the word instead of comparing and swapping
 *   -DRESUME_UNASKED  the source resumes after a time-out without taking the word back
 *   -DNO_WATCH        nobody watches the other process or the connection, and nothing times out
 */

mtype = { SOURCE, DESTINATION, RESUMED };                                    /* the word */
mtype = { HELLO, WELCOME, PREPARE, READY, STATE, RUNNING };                  /* messages */

mtype word = SOURCE;
chan to_destination = [3] of { mtype };
chan to_source = [3] of { mtype };

bool source_alive = true;
bool destination_alive = true;
bool source_runs = true;     /* vCPUs of that process may execute the guest */
bool destination_runs = false;
bool destination_whole = false;  /* it has loaded all of STATE */
bool source_released = false;    /* postmigrate: it has given up what it shared */

/* A death can come between any two steps. */
inline source_may_die() {
  if
  :: true
  :: atomic { source_alive = false; source_runs = false; goto dead }
  fi
}

inline destination_may_die() {
  if
  :: true
  :: atomic { destination_alive = false; destination_runs = false; goto dead }
  fi
}

/* What ends a wait besides the message: the peer's death, a broken connection, the phase's time-out, a cancel, an
 * error of one's own.  All of them may come at any time, so they are one. */
#ifdef NO_WATCH
#define GIVE_UP false
#else
#define GIVE_UP true
#endif

active proctype Source() {
  bool taken_back;

  source_may_die();
  to_destination ! HELLO;
  source_may_die();
  if
  :: to_source ? WELCOME
  :: GIVE_UP -> goto failed_before_pause
  fi;
  source_may_die();
  to_destination ! PREPARE;
  source_may_die();
  if
  :: to_source ? READY
  :: GIVE_UP -> goto failed_before_pause
  fi;

  /* The pause: no cancel is served any more. */
  source_may_die();
  source_runs = false;
  source_may_die();
  if
  :: true
  :: goto take_back                  /* saving failed, or the guest cannot go on */
  fi;
  to_destination ! STATE;
  source_may_die();
  if
  :: to_source ? RUNNING
  :: GIVE_UP -> skip                 /* refused, died, hung up, or over downtime-limit */
  fi;

take_back:
  source_may_die();
#ifdef RESUME_UNASKED
  word = RESUMED;
  taken_back = true;
#else
  atomic {
    taken_back = (word == SOURCE);
    if
    :: taken_back -> word = RESUMED
    :: else -> skip
    fi
  };
#endif
  source_may_die();
  if
  :: taken_back -> source_runs = true
  :: else -> source_released = true
  fi;
  goto done;

failed_before_pause:
  /* So that a destination which got ready all the same can never take the guest. */
  atomic {
    if
    :: word == SOURCE -> word = RESUMED
    :: else -> skip
    fi
  };

done:
  /* It lives on until it is told to quit, or dies. */
  source_may_die();
dead:
  skip
}

active proctype Destination() {
  bool taken;

  destination_may_die();
  if
  :: to_destination ? HELLO
  :: GIVE_UP -> goto failed
  fi;
  destination_may_die();
  if
  :: true
  :: goto failed                     /* the manifests differ */
  fi;
  to_source ! WELCOME;
  if
  :: to_destination ? PREPARE
  :: GIVE_UP -> goto failed
  fi;
  destination_may_die();
  to_source ! READY;
  /* What the source sent before it died or hung up is still there to be read: it is served first. */
  if
  :: to_destination ? STATE
  :: GIVE_UP -> if
                :: to_destination ? [STATE] -> to_destination ? STATE
                :: else -> goto failed
                fi
  fi;
  destination_may_die();
  if
  :: destination_whole = true
  :: goto failed                     /* the state is refused */
  fi;
  destination_may_die();
#ifdef PLAIN_WRITE
  taken = (word == SOURCE);
  if
  :: taken -> word = DESTINATION
  :: else -> skip
  fi;
#else
  atomic {
    taken = (word == SOURCE);
    if
    :: taken -> word = DESTINATION
    :: else -> skip
    fi
  };
#endif
  destination_may_die();
  if
  :: taken -> destination_runs = true
  :: else -> goto failed
  fi;
  destination_may_die();
  to_source ! RUNNING;
  destination_may_die();
  goto dead;

failed:
  destination_alive = false;
dead:
  skip
}

#define RUNS_SOMEWHERE (source_runs || destination_runs)
/* Nobody is left who holds the whole state and may still take it: the source until it released, the destination
 * once it has loaded. */
#define NOBODY_LEFT (!(source_alive && !source_released && word != DESTINATION) && \
                     !(destination_alive && destination_whole && word != RESUMED))
/* The running VMM died: as when any VMM dies.  That it took the word and died before its first instruction is the
 * one moment in between. */
#define OWNER_DIED (word == DESTINATION && !destination_alive)

ltl one_owner { [] !(source_runs && destination_runs) }
ltl released_means_taken { [] (source_released -> word == DESTINATION) }
ltl goes_on { [] <> (RUNS_SOMEWHERE || NOBODY_LEFT || OWNER_DIED) }
ltl stays { <> [] (RUNS_SOMEWHERE || NOBODY_LEFT || OWNER_DIED) }
