package org.moe4j.engine.cache;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.moe4j.engine.EngineException;

/**
 * Tokens of one sequence with their keys and values, in pages that come as they are needed. Whole
 * pages may be shared with others; one that is to be written to is copied first. Not for several
 * threads at once.
 */
public final class Cache implements AutoCloseable {
  private final PagePool pool;
  private final PageLayout layout;
  private final List<Page> pages = new ArrayList<>();
  private int[] tokens = {};
  private int length;
  private int reserved;
  private int keptPages;
  private boolean closed;
  private volatile Optional<String> damage = Optional.empty();

  /** Of no positions yet. */
  public Cache(PagePool pool) {
    this.pool = pool;
    this.layout = pool.layout();
  }

  /** Positions that are held. */
  public int length() {
    return length;
  }

  /** The tokens at these positions. */
  public int[] tokens() {
    return Arrays.copyOf(tokens, length);
  }

  /** Forgets position {@code positions} and all after it. */
  public void truncate(int positions) {
    length = Math.min(length, positions);
    damage = Optional.empty();
    while (pages.size() > PageLayout.pages(length)) {
      pool.release(pages.removeLast());
    }
    keptPages = Math.min(keptPages, length / PageLayout.POSITIONS);
  }

  /**
   * Makes sure of room for {@code positions} in all; false if there is none until other sequences
   * end.
   */
  public boolean reserve(int positions) {
    int needed = PageLayout.pages(positions) - pages.size() - reserved;
    if (lastIsShared() && positions > length) {
      needed++;
    }
    if (needed > 0 && !pool.reserve(needed)) {
      return false;
    }
    reserved += Math.max(0, needed);
    return true;
  }

  private boolean lastIsShared() {
    return length % PageLayout.POSITIONS != 0 && pool.shared(pages.getLast());
  }

  /**
   * Begins an empty cache for {@code prompt}: takes over what is kept of it, all but the last token
   * at most, and makes sure of room for {@code positions} in all.
   *
   * @return false, and nothing has changed, if there is no room until other sequences end
   */
  public boolean begin(int[] prompt, int positions) {
    PrefixTree.Match match = pool.find(prompt, prompt.length - 1, PageLayout.pages(positions));
    try {
      pages.addAll(match.pages());
      if (!reserve(positions)) {
        pages.forEach(pool::release);
        pages.clear();
        return false;
      }
      length = pages.size() * PageLayout.POSITIONS;
      match.next().ifPresent(next -> copy(next, match.more()));
      tokens = Arrays.copyOf(prompt, length);
      keptPages = match.pages().size();
      pool.count(length);
      return true;
    } finally {
      match.next().ifPresent(pool::release);
    }
  }

  private void copy(Page from, int count) {
    Page own = next();
    MemorySegment.copy(from.memory, 0, own.memory, 0, layout.bytes());
    pages.add(own);
    length += count;
  }

  private Page next() {
    if (reserved == 0) {
      throw new IllegalStateException("a page that was not reserved");
    }
    Page page = pool.take();
    reserved--;
    return page;
  }

  /** Makes room for more tokens, for which there must be a reservation. */
  public void grow(int[] more) {
    if (closed) {
      throw new EngineException("the sequence is closed; begin another one");
    }
    if (lastIsShared()) {
      Page before = pages.removeLast();
      copy(before, 0);
      pool.release(before);
    }
    if (tokens.length < length + more.length) {
      tokens = Arrays.copyOf(tokens, Math.max(length + more.length, 2 * tokens.length));
    }
    System.arraycopy(more, 0, tokens, length, more.length);
    while (pages.size() < PageLayout.pages(length + more.length)) {
      pages.add(next());
    }
    length += more.length;
  }

  /** How its pages are laid out. */
  public PageLayout layout() {
    return layout;
  }

  /** The memory of page {@code index}. */
  public MemorySegment page(int index) {
    return pages.get(index).memory;
  }

  /** Keeps key and value of a position and head. */
  public void store(int layer, int head, int position, float[] k, int kAt, float[] v, int vAt) {
    layout
        .heads()
        .store(
            page(position / PageLayout.POSITIONS),
            layout.at(layer, head),
            position % PageLayout.POSITIONS,
            k,
            kAt,
            v,
            vAt);
  }

  /** Says that numbers went bad that were to be kept; for any thread. */
  public void damaged(String what) {
    damage = Optional.of(what);
  }

  /** What went bad since it was last cut, if anything did. */
  public Optional<String> damage() {
    return damage;
  }

  /** Lets others read the pages that are full now. To be called when no step runs. */
  public void publish() {
    if (keptPages < length / PageLayout.POSITIONS) {
      keptPages = length / PageLayout.POSITIONS;
      pool.keep(tokens, keptPages * PageLayout.POSITIONS, this);
    }
  }

  Page held(int index) {
    return pages.get(index);
  }

  void replace(int index, Page page) {
    pages.set(index, page);
  }

  /** Gives its pages away: to texts that begin alike, as far as the pool keeps them. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      pool.keep(tokens, length, this);
      pages.forEach(pool::release);
      pages.clear();
      pool.giveBack(reserved);
      reserved = 0;
      length = 0;
      pool.trim();
    }
  }
}
