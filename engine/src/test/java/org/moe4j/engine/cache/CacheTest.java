package org.moe4j.engine.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.CacheType;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.kernel.CachedHeads;

class CacheTest {
  private static final PageLayout LAYOUT =
      new PageLayout(CachedHeads.of(CacheType.F16, 1, 1), 1, 1);
  private static final long PAGE = LAYOUT.bytes();

  private static PagePool pool(int pages, int kept) {
    return new PagePool(LAYOUT, pages * PAGE + PAGE - 1, kept * PAGE);
  }

  /** What stands at a position is a number of all tokens up to it. */
  private static float mark(int[] tokens, int position) {
    return Math.floorMod(Arrays.hashCode(Arrays.copyOf(tokens, position + 1)), 2048);
  }

  private static void put(Cache cache, int[] text, int to) {
    int from = cache.length();
    assertThat(cache.reserve(to)).isTrue();
    cache.grow(Arrays.copyOfRange(text, from, to));
    for (int p = from; p < to; p++) {
      float[] x = {mark(text, p)};
      cache.store(0, 0, p, x, 0, x, 0);
    }
    cache.publish();
  }

  private static void holds(Cache cache, int[] text) {
    assertThat(cache.tokens()).containsExactly(Arrays.copyOf(text, cache.length()));
    float[] products = new float[PageLayout.POSITIONS];
    for (int p = 0; p < cache.length(); p++) {
      if (p % PageLayout.POSITIONS == 0) {
        LAYOUT
            .heads()
            .scores(
                cache.page(p / PageLayout.POSITIONS),
                0,
                new float[] {1},
                1,
                64,
                products,
                0,
                64,
                0);
      }
      assertThat(products[p % PageLayout.POSITIONS]).isEqualTo(mark(text, p));
    }
  }

  private static int[] text(int n, int... head) {
    int[] all = new int[n];
    System.arraycopy(head, 0, all, 0, head.length);
    return all;
  }

  private static Cache made(PagePool pool, int[] text) {
    Cache cache = new Cache(pool);
    assertThat(cache.begin(text, text.length)).isTrue();
    put(cache, text, text.length);
    return cache;
  }

  @Test
  void aFinishedTextIsFoundUpToWhereTheOtherDiffers() {
    try (PagePool pool = pool(20, 10)) {
      int[] first = text(200);
      made(pool, first).close();
      int[] second = text(180);
      second[150] = 7;
      Cache cache = new Cache(pool);
      assertThat(cache.begin(second, 180)).isTrue();
      assertThat(cache.length()).isEqualTo(150);
      holds(cache, second);
      put(cache, second, 180);
      holds(cache, second);
      Cache again = made(pool, first);
      holds(again, first);
      assertThat(pool.statistics().reusedTokens()).isEqualTo(150 + 199);
      assertThat(pool.statistics().hits()).isEqualTo(2);
    }
  }

  @Test
  void textsThatAreWrittenTogetherShareTheirWholePages() {
    try (PagePool pool = pool(20, 10)) {
      Cache first = made(pool, text(130));
      Cache second = new Cache(pool);
      assertThat(second.begin(text(130), 130)).isTrue();
      assertThat(second.length()).isEqualTo(128);
      assertThat(pool.statistics().bytes()).isEqualTo(3 * PAGE);
      put(second, text(130), 130);
      assertThat(pool.statistics().bytes()).isEqualTo(4 * PAGE);
      first.close();
      holds(second, text(130));
    }
  }

  @Test
  void pagesThatTwoComputedBecomeOne() {
    try (PagePool pool = pool(20, 10)) {
      Cache first = new Cache(pool);
      Cache second = new Cache(pool);
      assertThat(first.begin(text(70), 70) && second.begin(text(70), 70)).isTrue();
      put(first, text(70), 70);
      put(second, text(70), 70);
      assertThat(pool.statistics().bytes()).isEqualTo(3 * PAGE);
      holds(second, text(70));
    }
  }

  @Test
  void cuttingIntoASharedPageLeavesTheOthersAsTheyAre() {
    try (PagePool pool = pool(20, 10)) {
      int[] text = text(100);
      Cache first = made(pool, text);
      Cache second = made(pool, text);
      second.truncate(30);
      int[] other = text(60);
      Arrays.fill(other, 30, 60, 3);
      put(second, other, 60);
      holds(second, other);
      holds(first, text);
    }
  }

  @Test
  void theLeastRecentlyUsedGoesFirst() {
    try (PagePool pool = pool(20, 2)) {
      made(pool, text(64, 1)).close();
      made(pool, text(64, 2)).close();
      made(pool, text(64, 1)).close();
      made(pool, text(64, 3)).close();
      assertThat(pool.statistics().keptBytes()).isEqualTo(2 * PAGE);
      assertThat(pool.statistics().evictions()).isEqualTo(1);
      assertThat(found(pool, text(64, 2))).isZero();
      assertThat(found(pool, text(64, 1))).isEqualTo(63);
      assertThat(found(pool, text(64, 3))).isEqualTo(63);
    }
  }

  private static int found(PagePool pool, int[] text) {
    Cache cache = new Cache(pool);
    assertThat(cache.begin(text, text.length)).isTrue();
    int length = cache.length();
    cache.truncate(0);
    cache.close();
    return length;
  }

  @Test
  void nothingIsKeptWhereNothingIsToBeKept() {
    try (PagePool pool = pool(20, 0)) {
      made(pool, text(64)).close();
      assertThat(pool.statistics().bytes()).isZero();
      assertThat(found(pool, text(64))).isZero();
    }
  }

  @Test
  void whatIsKeptGivesWayToWhatIsWritten() {
    try (PagePool pool = pool(3, 3)) {
      made(pool, text(192)).close();
      assertThat(pool.statistics().keptBytes()).isEqualTo(3 * PAGE);
      Cache other = made(pool, text(192, 9));
      assertThat(pool.statistics().evictions()).isEqualTo(3);
      Cache refused = new Cache(pool);
      assertThat(refused.begin(text(1), 1)).isFalse();
      other.close();
      assertThat(refused.begin(text(1), 1)).isTrue();
    }
  }

  @Test
  void aTextThatFillsTheWholeBudgetIsTakenThoughItsOwnBeginningIsKept() {
    try (PagePool pool = pool(1, 1)) {
      made(pool, text(40)).close();
      Cache cache = new Cache(pool);
      assertThat(cache.begin(text(40), 64)).isTrue();
    }
  }

  @Test
  void aBudgetBelowOnePageIsRefused() {
    assertThatThrownBy(() -> new PagePool(LAYOUT, PAGE - 1, 0))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("give it at least " + PAGE);
  }

  /**
   * Random texts that begin alike come, grow, are cut and go; whatever a cache found, shared or
   * copied, it holds what belongs to its tokens, and budgets hold.
   */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void whatACacheHoldsBelongsToItsTokens(long seed) {
    Random random = new Random(seed);
    int most = random.nextInt(4, 40);
    int kept = random.nextInt(0, 20);
    try (PagePool pool = pool(most, kept)) {
      List<Cache> open = new ArrayList<>();
      List<int[]> texts = new ArrayList<>();
      for (int i = 0; i < 400; i++) {
        int which = open.isEmpty() ? -1 : random.nextInt(open.size());
        switch (open.isEmpty() ? 0 : random.nextInt(5)) {
          case 0 -> {
            int[] text = text(random.nextInt(1, 300), random.nextInt(2));
            if (random.nextBoolean()) {
              text[random.nextInt(text.length)] = random.nextInt(3);
            }
            Cache cache = new Cache(pool);
            if (cache.begin(text, text.length)) {
              open.add(cache);
              texts.add(text);
            }
          }
          case 1, 2 -> {
            Cache cache = open.get(which);
            int to = random.nextInt(cache.length(), texts.get(which).length + 1);
            if (to > cache.length() && cache.reserve(to)) {
              put(cache, texts.get(which), to);
            }
          }
          case 3 -> {
            Cache cache = open.get(which);
            cache.truncate(random.nextInt(cache.length() + 1));
            int[] other = texts.get(which).clone();
            for (int p = cache.length(); p < other.length; p++) {
              other[p] = random.nextInt(40) == 0 ? random.nextInt(3) : other[p];
            }
            texts.set(which, other);
          }
          default -> {
            holds(open.get(which), texts.get(which));
            open.remove(which).close();
            texts.remove(which);
          }
        }
        assertThat(pool.statistics().bytes()).isLessThanOrEqualTo(most * PAGE);
        assertThat(pool.statistics().keptBytes()).isLessThanOrEqualTo(pool.statistics().bytes());
      }
      for (int i = 0; i < open.size(); i++) {
        holds(open.get(i), texts.get(i));
      }
      Set<Cache> all = new HashSet<>(open);
      all.forEach(Cache::close);
      assertThat(pool.statistics().keptBytes())
          .isEqualTo(pool.statistics().bytes())
          .isLessThanOrEqualTo(kept * PAGE);
    }
  }
}
