package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** The search against all N sums, one by one. */
class ProductKeysTest extends InScope {
  private static final int HEADS = 3;
  private static final int SIDE = 5;
  private static final int N = SIDE * SIDE;
  private static final int HALF = 4;

  private static ProductKeys keys(ParameterStore store, boolean shared) {
    return new ProductKeys(HEADS, N, HALF, shared, store, 0);
  }

  /** Score of every expert for one query of one head. */
  private static double[] all(double[] query, double[] keys, int head) {
    double[] sums = new double[N];
    for (int e = 0; e < N; e++) {
      for (int c = 0; c < 2; c++) {
        int row = (head * 2 + c) * SIDE + (c == 0 ? e / SIDE : e % SIDE);
        for (int i = 0; i < HALF; i++) {
          sums[e] += query[c * HALF + i] * keys[row * HALF + i];
        }
      }
    }
    return sums;
  }

  /** The k best, the lower number first among equals. */
  private static int[] best(double[] sums, int k) {
    return IntStream.range(0, sums.length)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer e) -> -sums[e]).thenComparing(e -> e))
        .limit(k)
        .mapToInt(e -> e)
        .toArray();
  }

  private void compare(Tensor queries, boolean shared, double[] keys, ProductKeys made, int k) {
    ProductKeys.Found found = made.find(queries, k);
    int tokens = (int) queries.size(0);
    double[][] rows = rows(queries.reshape((long) tokens * HEADS, 2 * HALF));
    int[][] ids = indices(found.ids().reshape((long) tokens * HEADS, k));
    double[][] scores = rows(found.scores().reshape((long) tokens * HEADS, k));
    for (int i = 0; i < rows.length; i++) {
      double[] sums = all(rows[i], keys, shared ? 0 : i % HEADS);
      int[] expected = best(sums, k);
      assertThat(ids[i]).as("query %d, k %d", i, k).containsExactly(expected);
      for (int j = 0; j < k; j++) {
        assertThat(scores[i][j]).isCloseTo(sums[expected[j]], within(1e-12));
      }
    }
  }

  @Test
  void theBestOfAllSumsAreFound() {
    for (boolean shared : new boolean[] {false, true}) {
      ParameterStore store = wide(1);
      ProductKeys made = keys(store, shared);
      double[] keys = store.named("gate.keys").tensor().toDoubles();
      for (int k : new int[] {1, 2, 4, 5, 7, N}) {
        compare(normal(20, HEADS, 2 * HALF), shared, keys, made, k);
      }
      compare(normal(0, HEADS, 2 * HALF), shared, keys, made, 2);
    }
  }

  @Test
  void amongEqualScoresTheLowestNumberIsFirst() {
    // Keys and queries of small whole numbers: sums are exact and many are equal.
    ParameterStore store = wide(1);
    ProductKeys made = keys(store, false);
    Tensor keys = store.named("gate.keys").tensor().detach();
    keys.copyInPlace(random.uniform(0, 3, DType.F64, keys.shape()).to(DType.I64));
    Tensor queries =
        random.uniform(-1, 2, DType.F64, 30, HEADS, 2 * HALF).to(DType.I64).to(DType.F64);
    for (int k : new int[] {1, 3, 6, N}) {
      compare(queries, false, keys.toDoubles(), made, k);
    }
  }

  @Test
  void wholeTensorsFindTheSame() {
    for (boolean shared : new boolean[] {false, true}) {
      ParameterStore store = wide(1);
      ProductKeys made = keys(store, shared);
      Tensor leaf = store.named("gate.keys").tensor();
      Tensor queries = normal(9, HEADS, 2 * HALF).requiresGrad(true);
      Tensor weights = normal(9, HEADS, 4);
      ProductKeys.Found fast = made.find(queries, 4);
      fast.scores().mul(weights).sum().backward();
      Tensor dQueries = queries.grad().orElseThrow().copy();
      Tensor dKeys = leaf.grad().orElseThrow().copy();
      queries.clearGrad();
      leaf.clearGrad();
      ProductKeys.Found plain = made.plain(queries, leaf, 4);
      plain.scores().mul(weights).sum().backward();
      assertThat(fast.ids().toLongs()).containsExactly(plain.ids().toLongs());
      same(fast.scores(), plain.scores(), 1e-12);
      same(dQueries, queries.grad().orElseThrow(), 1e-12);
      same(dKeys, leaf.grad().orElseThrow(), 1e-12);
    }
  }

  @Test
  void singlePrecisionFindsWhatDoubleFinds() {
    // More queries than a block has, and more than one block.
    ParameterStore store = new ParameterStore(1);
    ProductKeys made = new ProductKeys(2, 1024, 8, false, store, 0);
    Tensor queries = random.normal(700, 2, 16);
    ProductKeys.Found found = made.find(queries, 6);
    ProductKeys.Found plain =
        made.plain(queries.to(DType.F64), store.named("gate.keys").tensor().to(DType.F64), 6);
    same(found.scores().to(DType.F64), plain.scores(), 1e-5);
    assertThat(Arrays.stream(found.ids().toLongs())).allMatch(id -> id >= 0 && id < 1024);
  }

  @Test
  void whatIsNoSquareIsRefused() {
    assertThatThrownBy(() -> new ProductKeys(1, 10, 2, false, wide(1), 0))
        .isInstanceOf(MoeException.class)
        .hasMessage("product keys need a square number of experts, not 10; set experts to 9");
  }
}
