package org.moe4j.engine.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.machine.HugePages;

/**
 * All pages of a model's sequences, at most so many. Pages of finished texts are kept for texts
 * that begin alike; the least recently used ones go first when room is needed. Memory of a page
 * that nobody holds is used again and freed with the pool, so that no step ever reads memory that
 * is gone. For any threads.
 */
public final class PagePool implements AutoCloseable {
  private final PageLayout layout;
  private final int most;
  private final int mostKept;
  private final Arena arena = Arena.ofShared();
  private final Deque<Page> free = new ArrayDeque<>();
  private final PrefixTree tree = new PrefixTree(new Page(MemorySegment.NULL));
  private int held;
  private int reserved;
  private int idle;
  private int peak;
  private long lookups;
  private long hits;
  private long reused;
  private long evicted;

  /**
   * Of pages in {@code layout}.
   *
   * @param bytes that all pages may take
   * @param keptBytes of them, that pages nobody reads may take
   */
  public PagePool(PageLayout layout, long bytes, long keptBytes) {
    this.layout = layout;
    this.most = (int) Math.min(Integer.MAX_VALUE, bytes / layout.bytes());
    this.mostKept = (int) Math.min(most, keptBytes / layout.bytes());
    if (most == 0) {
      throw new EngineException(
          "a budget of "
              + bytes
              + " bytes for keys and values holds not one page of "
              + PageLayout.POSITIONS
              + " tokens; give it at least "
              + layout.bytes());
    }
  }

  /** How pages are laid out. */
  public PageLayout layout() {
    return layout;
  }

  /** True if a sequence of so many positions fits when it is alone. */
  public boolean fits(int positions) {
    return PageLayout.pages(positions) <= most;
  }

  /** Bytes that a sequence of so many positions takes. */
  public long bytes(int positions) {
    return PageLayout.pages(positions) * layout.bytes();
  }

  /** What there was and is. */
  public synchronized CacheStatistics statistics() {
    long page = layout.bytes();
    return new CacheStatistics(
        held * page, peak * page, idle * page, lookups, hits, reused, evicted);
  }

  /** Makes sure of so many pages; false if they cannot be had until others are released. */
  synchronized boolean reserve(int pages) {
    while ((long) held + reserved + pages > most) {
      if (!evict()) {
        return false;
      }
    }
    reserved += pages;
    return true;
  }

  synchronized void giveBack(int pages) {
    reserved -= pages;
  }

  /** One of the reserved pages. */
  synchronized Page take() {
    Page page = free.isEmpty() ? allocate() : free.pop();
    page.holders = 1;
    reserved--;
    held++;
    peak = Math.max(peak, held);
    return page;
  }

  private Page allocate() {
    try {
      long bytes = layout.bytes();
      return new Page(
          bytes < 2 * HugePages.SIZE
              ? arena.allocate(bytes, 64)
              : HugePages.allocate(arena, bytes));
    } catch (OutOfMemoryError e) {
      throw new EngineException(
          "no memory left for keys and values beside " + held * layout.bytes() + " bytes", e);
    }
  }

  private void share(Page page) {
    page.holders++;
    if (page.kept && page.holders == 2) {
      idle--;
    }
  }

  synchronized void release(Page page) {
    page.holders--;
    if (page.holders == 0) {
      held--;
      free.push(page);
    } else if (page.kept && page.holders == 1) {
      idle++;
    }
  }

  synchronized boolean shared(Page page) {
    return page.holders > 1;
  }

  /**
   * What there is of the first {@code count} tokens; its pages are held for the caller. A page to
   * copy from is left out where it and {@code needed} pages do not fit at once.
   */
  synchronized PrefixTree.Match find(int[] tokens, int count, int needed) {
    PrefixTree.Match found = tree.find(tokens, count);
    PrefixTree.Match match = needed < most ? found : found.whole();
    match.pages().forEach(this::share);
    match.next().ifPresent(this::share);
    return match;
  }

  /** Counts a prompt and how many of its tokens were there. */
  synchronized void count(int tokens) {
    lookups++;
    hits += tokens > 0 ? 1 : 0;
    reused += tokens;
  }

  /** Keeps the pages of the first {@code count} tokens of a text, if any are to be kept. */
  synchronized void keep(int[] tokens, int count, Cache cache) {
    if (mostKept == 0) {
      return;
    }
    tree.add(
        tokens,
        count,
        new PrefixTree.Pages() {
          @Override
          public Page get(int index) {
            return cache.held(index);
          }

          @Override
          public void keep(Page page) {
            page.holders++;
            page.kept = true;
          }

          @Override
          public void drop(Page page) {
            idle -= page.holders == 1 ? 1 : 0;
            page.kept = false;
            release(page);
          }

          @Override
          public void replace(int index, Page page) {
            share(page);
            release(cache.held(index));
            cache.replace(index, page);
          }
        });
  }

  /** Forgets what is kept beyond the budget. */
  synchronized void trim() {
    boolean more = true;
    while (more && idle > mostKept) {
      more = evict();
    }
  }

  private boolean evict() {
    Optional<Page> page = tree.evict();
    page.ifPresent(
        p -> {
          idle--;
          evicted++;
          p.kept = false;
          release(p);
        });
    return page.isPresent();
  }

  /** Frees all pages; nothing may read them any more. */
  @Override
  public void close() {
    arena.close();
  }
}
