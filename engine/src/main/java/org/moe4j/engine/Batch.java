package org.moe4j.engine;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import org.moe4j.engine.Engine.Addition;
import org.moe4j.engine.Engine.Outcome;
import org.moe4j.engine.Generation.End;

/**
 * Texts that are continued together: new ones are taken in while others are written, long prompts
 * are read in pieces so that the others go on, and each text is the same as if it were alone.
 *
 * <p>One thread steps ({@link #run}, or {@link #step} as often as there is something to do); any
 * thread may add and cancel. A text is taken in when there is memory for all it can become, in the
 * order of arrival, so that none ever runs out of memory half-way.
 */
public final class Batch implements AutoCloseable {
  /** How long {@link #run} waits for memory that sequences outside of the batch hold. */
  private static final long PATIENCE_MS = 20;

  /** A text that was taken in. */
  private record Active(Generation text, Sampling how, Sequence sequence) {}

  /** A text that waits. */
  private record Waiting(Generation text, Sampling how) {}

  private final Engine engine;
  private final BatchOptions options;
  private final ReentrantLock stepping = new ReentrantLock();
  private final List<Active> active = new ArrayList<>();
  private long steps;

  /** Guards what follows. */
  private final Object state = new Object();

  private final Deque<Waiting> waiting = new ArrayDeque<>();
  private boolean news;
  private boolean closed;

  Batch(Engine engine, BatchOptions options) {
    this.engine = engine;
    this.options = options;
  }

  /**
   * Adds a text.
   *
   * @throws EngineException if its prompt is empty, too long or of tokens that are not in the
   *     vocabulary, if it would not fit into memory even alone, or if the batch is closed
   */
  public Generation add(int[] prompt, Sampling how, Generation.Listener listener) {
    engine.checkTokens(0, prompt);
    int positions = positions(prompt.length, how);
    engine.checkFits(positions);
    int most = Math.min(how.tokens(), engine.shape().context() - prompt.length + 1);
    Generation text = new Generation(prompt.clone(), most, how, listener, this::wake);
    synchronized (state) {
      if (closed) {
        throw new EngineException("the batch is closed and takes no more texts");
      }
      waiting.add(new Waiting(text, how));
    }
    wake();
    return text;
  }

  /** Positions that a text takes at most; its last token needs none. */
  private int positions(int prompt, Sampling how) {
    return (int) Math.min(engine.shape().context(), prompt + Math.max(0L, how.tokens() - 1L));
  }

  private void wake() {
    synchronized (state) {
      news = true;
      state.notifyAll();
    }
  }

  /** Texts that were added and have not ended: those being worked on and those that wait. */
  public int size() {
    stepping.lock();
    try {
      synchronized (state) {
        return active.size() + waiting.size();
      }
    } finally {
      stepping.unlock();
    }
  }

  /** Steps until the batch is closed; sleeps while there is nothing to do. */
  public void run() {
    while (true) {
      boolean worked = step();
      synchronized (state) {
        while (!closed && !worked && !news) {
          try {
            state.wait(waiting.isEmpty() ? 0 : PATIENCE_MS);
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return;
          }
          worked = !waiting.isEmpty();
        }
        news = false;
        if (closed) {
          return;
        }
      }
    }
  }

  /**
   * Takes texts in and puts the next tokens of those taken in through the model.
   *
   * @return whether anything was done; if not, nothing can be until a text is added or memory is
   *     released elsewhere
   */
  public boolean step() {
    stepping.lock();
    try {
      if (stepping.getHoldCount() > 1) {
        throw new EngineException("a listener cannot step the batch that calls it");
      }
      boolean ended = dropCancelled();
      ended |= takeIn();
      List<Active> taking = new ArrayList<>();
      List<Addition> additions = new ArrayList<>();
      plan(taking, additions);
      if (!additions.isEmpty()) {
        advance(taking, additions);
      }
      return ended || !additions.isEmpty();
    } finally {
      if (isClosed()) {
        endAll();
      }
      stepping.unlock();
    }
  }

  private boolean isClosed() {
    synchronized (state) {
      return closed;
    }
  }

  private boolean dropCancelled() {
    List<Generation> ended = new ArrayList<>();
    for (Active a : List.copyOf(active)) {
      if (a.text().cancelled()) {
        leave(a);
        ended.add(a.text());
      }
    }
    synchronized (state) {
      waiting.removeIf(w -> w.text().cancelled() && ended.add(w.text()));
    }
    ended.forEach(text -> finish(text, End.CANCELLED, Optional.empty()));
    return !ended.isEmpty();
  }

  /** Takes texts in as long as there is room; true if one of them ended at once. */
  private boolean takeIn() {
    boolean ended = false;
    while (active.size() < options.sequences()) {
      Waiting next;
      synchronized (state) {
        if (waiting.isEmpty()) {
          return ended;
        }
        next = waiting.peek();
      }
      Optional<Sequence> sequence = Optional.empty();
      Optional<EngineException> failure = Optional.empty();
      boolean empty = next.text().mostTokens == 0;
      try {
        sequence = empty ? Optional.empty() : begin(next);
        if (!empty && sequence.isEmpty()) {
          return ended;
        }
      } catch (EngineException e) {
        failure = Optional.of(e);
      }
      synchronized (state) {
        waiting.remove(next);
      }
      if (sequence.isPresent()) {
        next.text().begin(sequence.get().length());
        active.add(new Active(next.text(), next.how(), sequence.get()));
      } else {
        finish(next.text(), failure.isPresent() ? End.FAILED : End.LENGTH, failure);
        ended = true;
      }
    }
    return ended;
  }

  /** A sequence with room for all that a text can become, if there is room now. */
  private Optional<Sequence> begin(Waiting next) {
    int[] prompt = next.text().prompt;
    Sequence sequence = engine.sequence();
    boolean room = false;
    try {
      room = engine.begin(sequence, prompt, positions(prompt.length, next.how()));
    } finally {
      if (!room) {
        sequence.close();
      }
    }
    return room ? Optional.of(sequence) : Optional.empty();
  }

  private void plan(List<Active> taking, List<Addition> additions) {
    List<Shares.Wish> wishes =
        active.stream()
            .map(Active::text)
            .map(t -> new Shares.Wish(t.reading(), t.pending.length, t.served))
            .toList();
    int[] shares = Shares.of(wishes, options);
    steps++;
    for (int i = 0; i < shares.length; i++) {
      if (shares[i] > 0) {
        Active a = active.get(i);
        a.text().served = steps;
        taking.add(a);
        int[] tokens = Arrays.copyOf(a.text().pending, shares[i]);
        additions.add(new Addition(a.sequence(), tokens, false));
      }
    }
  }

  private void advance(List<Active> taking, List<Addition> additions) {
    List<Outcome> outcomes;
    try {
      outcomes = engine.run(additions);
    } catch (EngineException e) {
      taking.forEach(a -> end(a, End.FAILED, Optional.of(e)));
      return;
    } catch (RuntimeException | Error e) {
      EngineException why = new EngineException("a step failed: " + e, e);
      taking.forEach(a -> end(a, End.FAILED, Optional.of(why)));
      throw e;
    }
    for (int i = 0; i < taking.size(); i++) {
      Active a = taking.get(i);
      int[] pending = a.text().pending;
      a.text().pending =
          Arrays.copyOfRange(pending, additions.get(i).tokens().length, pending.length);
      if (outcomes.get(i).failure().isPresent()) {
        end(a, End.FAILED, outcomes.get(i).failure());
      } else if (a.text().pending.length == 0 && !a.text().cancelled() && !isClosed()) {
        next(a, outcomes.get(i).logits().getFirst());
      }
    }
  }

  private void next(Active a, float[] logits) {
    Optional<End> end;
    try {
      end = a.text().next(logits, a.how());
    } catch (RuntimeException e) {
      end(a, End.FAILED, Optional.of(new EngineException("a listener failed: " + e, e)));
      return;
    }
    end.ifPresent(how -> end(a, how, Optional.empty()));
  }

  private void end(Active a, End how, Optional<EngineException> why) {
    leave(a);
    finish(a.text(), how, why);
  }

  private void leave(Active a) {
    active.remove(a);
    a.sequence().close();
  }

  private static void finish(Generation text, End how, Optional<EngineException> why) {
    try {
      text.finish(how, why);
    } catch (RuntimeException e) {
      // The text has ended all the same; there is no one left to tell.
      System.getLogger(Batch.class.getName())
          .log(System.Logger.Level.WARNING, "a listener failed at the end of a text", e);
    }
  }

  /**
   * Cancels all texts and takes no more. Waits for a step that runs, unless a listener calls: then
   * the end of that step does it.
   */
  @Override
  public void close() {
    synchronized (state) {
      closed = true;
    }
    wake();
    if (!stepping.isHeldByCurrentThread()) {
      stepping.lock();
      try {
        endAll();
      } finally {
        stepping.unlock();
      }
    }
  }

  private void endAll() {
    List<Generation> ended = new ArrayList<>();
    for (Active a : List.copyOf(active)) {
      leave(a);
      ended.add(a.text());
    }
    synchronized (state) {
      waiting.forEach(w -> ended.add(w.text()));
      waiting.clear();
    }
    ended.forEach(text -> finish(text, End.CANCELLED, Optional.empty()));
  }
}
