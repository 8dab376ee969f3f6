package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

/** The sparse projection and the semi-dual (S23), against brute force, theory and POT. */
class SparseTransportTest {
  private final Random random = new Random(23);

  private double[] uniform(int n) {
    return random.doubles(n, 0, 1).toArray();
  }

  private double[] masses(int n, double sum) {
    double[] v = random.doubles(n, 0.5, 1.5).toArray();
    double all = Arrays.stream(v).sum();
    return Arrays.stream(v).map(x -> x / all * sum).toArray();
  }

  private static double[] projected(double[] v, int k) {
    double[] p = v.clone();
    new SparseSimplex(v.length, k).project(p);
    return p;
  }

  /** Projection on the simplex by bisection for the threshold. */
  private static double[] simplex(double[] v) {
    double low = Arrays.stream(v).min().orElseThrow() - 1;
    double high = Arrays.stream(v).max().orElseThrow();
    for (int i = 0; i < 200; i++) {
      double tau = (low + high) / 2;
      if (Arrays.stream(v).map(x -> Math.max(x - tau, 0)).sum() > 1) {
        low = tau;
      } else {
        high = tau;
      }
    }
    double tau = low;
    return Arrays.stream(v).map(x -> Math.max(x - tau, 0)).toArray();
  }

  private static double distance(double[] a, double[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> (a[i] - b[i]) * (a[i] - b[i])).sum();
  }

  @Test
  void theProjectionIsTheNearestPointOfAllSupports() {
    for (int round = 0; round < 200; round++) {
      int n = 1 + random.nextInt(10);
      int k = 1 + random.nextInt(n);
      double[] v = random.doubles(n, -2, 2).toArray();
      double nearest = Double.POSITIVE_INFINITY;
      double[] best = v;
      for (int support = 1; support < 1 << n; support++) {
        if (Integer.bitCount(support) <= k) {
          int set = support;
          int[] at = IntStream.range(0, n).filter(i -> (set >> i & 1) != 0).toArray();
          double[] inside = simplex(Arrays.stream(at).mapToDouble(i -> v[i]).toArray());
          double[] p = new double[n];
          for (int i = 0; i < at.length; i++) {
            p[at[i]] = inside[i];
          }
          if (distance(p, v) < nearest) {
            nearest = distance(p, v);
            best = p;
          }
        }
      }
      double[] p = projected(v, k);
      assertThat(p).containsExactly(best, within(1e-9));
      assertThat(Arrays.stream(p).filter(x -> x > 0).count()).isLessThanOrEqualTo(k);
      assertThat(projected(p, k)).containsExactly(p, within(1e-12));
    }
  }

  @Test
  void longVectorsAndTiesToo() {
    for (int n : new int[] {50, 1000}) {
      for (int k : new int[] {1, 7, n / 2, n, n + 3}) {
        double[] v = random.doubles(n, -0.01, 0.01).toArray();
        double[] p = projected(v, k);
        double[] best = descending(v);
        double[] expected = Arrays.copyOf(simplex(Arrays.copyOf(best, Math.min(k, n))), n);
        assertThat(descending(p)).containsExactly(expected, within(1e-12));
        double[] equal = new double[n];
        Arrays.fill(equal, 1e9);
        double[] even = projected(equal, k);
        for (int i = 0; i < n; i++) {
          assertThat(even[i]).isEqualTo(i < k ? 1.0 / Math.min(k, n) : 0);
        }
      }
    }
    assertThat(projected(new double[] {-1e300, 1e300, 0}, 2)).containsExactly(0, 1, 0);
  }

  private static double[] descending(double[] v) {
    return Arrays.stream(v).map(x -> -x).sorted().map(x -> -x).toArray();
  }

  @Test
  void relabelledEntriesAreRelabelled() {
    double[] v = random.doubles(20, -1, 1).toArray();
    double[] p = projected(v, 5);
    double[] reversed = IntStream.range(0, 20).mapToDouble(i -> v[19 - i]).toArray();
    double[] q = projected(reversed, 5);
    for (int i = 0; i < 20; i++) {
      assertThat(q[19 - i]).isCloseTo(p[i], within(1e-12));
    }
  }

  /** A random problem and its parts. */
  private final class Problem {
    final int m;
    final int n;
    final double gamma;
    final double[] a;
    final double[] b;
    final double[] cost;

    Problem(int m, int n, double gamma, double mass) {
      this.m = m;
      this.n = n;
      this.gamma = gamma;
      this.a = masses(m, mass);
      this.b = masses(n, mass);
      this.cost = uniform(m * n);
    }

    SparseTransport with(int k) {
      return new SparseTransport(cost, a, b, gamma, k);
    }

    double primal(double[] plan) {
      double sum = 0;
      for (int i = 0; i < plan.length; i++) {
        sum += plan[i] * cost[i] + gamma / 2 * plan[i] * plan[i];
      }
      return sum;
    }
  }

  @Test
  void theGradientIsTheSlopeAndTheSemiDualIsConcave() {
    for (int round = 0; round < 40; round++) {
      Problem p = new Problem(8, 6, 0.2, 1 + round % 3 * 5);
      SparseTransport t = p.with(1 + round % 8);
      double[] alpha = random.doubles(8, -0.2, 0.2).toArray();
      double[] gradient = new double[8];
      double value = t.value(alpha, gradient);
      double[] unused = new double[8];
      for (int i = 0; i < 8; i++) {
        double[] up = alpha.clone();
        double[] down = alpha.clone();
        up[i] += 1e-6;
        down[i] -= 1e-6;
        double slope = (t.value(up, unused) - t.value(down, unused)) / 2e-6;
        assertThat(gradient[i]).isCloseTo(slope, within(1e-5));
      }
      double[] other = random.doubles(8, -1, 1).toArray();
      double[] middle = IntStream.range(0, 8).mapToDouble(i -> (alpha[i] + other[i]) / 2).toArray();
      assertThat(t.value(middle, unused))
          .isGreaterThanOrEqualTo((value + t.value(other, unused)) / 2 - 1e-12);
    }
  }

  @Test
  void columnsAreExactAndSparseAtEveryAlpha() {
    for (int k = 1; k <= 8; k++) {
      Problem p = new Problem(8, 6, 0.1, 4);
      double[] plan = p.with(k).plan(random.doubles(8, -1, 1).toArray());
      for (int j = 0; j < 6; j++) {
        double[] column = Arrays.copyOfRange(plan, j * 8, j * 8 + 8);
        assertThat(Arrays.stream(column).sum()).isCloseTo(p.b[j], within(1e-12));
        assertThat(Arrays.stream(column).filter(x -> x > 0).count()).isLessThanOrEqualTo(k);
      }
    }
  }

  @Test
  void withRoomEnoughThePlanIsFeasibleAndOptimal() {
    for (int round = 0; round < 12; round++) {
      Problem p = new Problem(8 + round, 6, 0.1 + 0.3 * round, 1 + round);
      SparseTransport full = p.with(p.m);
      double[] alpha = full.lbfgs(1e-9, 2000);
      double[] plan = full.plan(alpha);
      double[] gradient = new double[p.m];
      double dual = full.value(alpha, gradient);
      assertThat(gradient).containsExactly(new double[p.m], within(1e-6));
      assertThat(p.primal(plan)).isCloseTo(dual, within(1e-6));
      int support = 0;
      for (int j = 0; j < p.n; j++) {
        double[] column = Arrays.copyOfRange(plan, j * p.m, (j + 1) * p.m);
        support = Math.max(support, (int) Arrays.stream(column).filter(x -> x > 0).count());
      }
      SparseTransport sparse = p.with(support);
      assertThat(sparse.plan(sparse.lbfgs(1e-9, 2000))).containsExactly(plan, within(1e-6));
    }
  }

  @Test
  void lessRoomNeverCostsLess() {
    Problem p = new Problem(10, 10, 0.1, 1);
    double before = Double.POSITIVE_INFINITY;
    for (int k = 1; k <= 10; k++) {
      SparseTransport t = p.with(k);
      double value = t.value(t.lbfgs(1e-9, 2000), new double[10]);
      assertThat(value).isLessThanOrEqualTo(before + 1e-3);
      before = value;
    }
  }

  @Test
  void aStrongRegulariserSpreadsThePlanEvenly() {
    Problem p = new Problem(5, 4, 1e6, 1);
    SparseTransport t = p.with(5);
    double[] plan = t.plan(t.lbfgs(1e-12, 2000));
    for (int j = 0; j < 4; j++) {
      for (int i = 0; i < 5; i++) {
        double even = p.a[i] / 4 + p.b[j] / 5 - 1.0 / 20;
        assertThat(plan[j * 5 + i]).isCloseTo(even, within(1e-6));
      }
    }
  }

  @Test
  void agreesWithPot() throws IOException {
    int solved = 0;
    int at = 0;
    for (String line : lines()) {
      String[] words = line.split(" ", -1);
      int m = Integer.parseInt(words[1]);
      int n = Integer.parseInt(words[2]);
      double[] v = Arrays.stream(words).skip(5).mapToDouble(Double::parseDouble).toArray();
      SparseTransport t =
          new SparseTransport(
              Arrays.copyOfRange(v, m + n, m + n + m * n),
              Arrays.copyOf(v, m),
              Arrays.copyOfRange(v, m, m + n),
              Double.parseDouble(words[4]),
              Integer.parseInt(words[3]));
      double[] rest = Arrays.copyOfRange(v, m + n + m * n, v.length);
      if (words[0].equals("solved")) {
        solved++;
        assertThat(t.plan(t.lbfgs(1e-10, 5000))).containsExactly(rest, within(1e-5));
      } else {
        at++;
        double[] alpha = Arrays.copyOf(rest, m);
        double[] gradient = new double[m];
        assertThat(t.value(alpha, gradient)).isCloseTo(rest[m], within(1e-12));
        assertThat(gradient)
            .containsExactly(Arrays.copyOfRange(rest, m + 1, 2 * m + 1), within(1e-12));
        assertThat(t.plan(alpha))
            .containsExactly(Arrays.copyOfRange(rest, 2 * m + 1, rest.length), within(1e-12));
      }
    }
    assertThat(solved).isEqualTo(8);
    assertThat(at).isEqualTo(4);
  }

  private static List<String> lines() throws IOException {
    try (InputStream in =
        Objects.requireNonNull(
            SparseTransportTest.class.getResourceAsStream("sparse-transport.txt"))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
    }
  }

  @Test
  void adamIsAdam() {
    Problem p = new Problem(6, 9, 1, 9);
    SparseTransport t = p.with(2);
    double[] alpha = new double[6];
    double[] mean = new double[6];
    double[] square = new double[6];
    for (int step = 1; step <= 20; step++) {
      double[] g = new double[6];
      t.value(alpha, g);
      for (int i = 0; i < 6; i++) {
        mean[i] = 0.9 * mean[i] + 0.1 * g[i];
        square[i] = 0.999 * square[i] + 0.001 * g[i] * g[i];
        double up = mean[i] / (1 - Math.pow(0.9, step));
        double down = Math.sqrt(square[i] / (1 - Math.pow(0.999, step))) + 1e-8;
        alpha[i] += 0.01 * up / down;
      }
    }
    assertThat(t.adam(0.01, 20)).containsExactly(alpha, within(1e-12));
    assertThat(t.value(alpha, new double[6])).isGreaterThan(t.value(new double[6], new double[6]));
  }

  @Test
  void impossibleProblemsAreRefused() {
    double[] one = {1, 1};
    double[] cost = {0, 1, 2, 3};
    refused("k = 0", cost, one, one, 1, 0);
    refused("k = 3", cost, one, one, 1, 3);
    refused("gamma 0.0", cost, one, one, 0, 1);
    refused("gamma NaN", cost, one, one, Double.NaN, 1);
    refused("negative", cost, new double[] {3, -1}, one, 1, 1);
    refused("rows of mass 3.0", cost, new double[] {2, 1}, one, 1, 1);
    refused("cost is not finite", new double[] {0, Double.NaN, 2, 3}, one, one, 1, 1);
    refused("3 costs", new double[3], one, one, 1, 1);
  }

  private static void refused(
      String message, double[] cost, double[] a, double[] b, double gamma, int k) {
    assertThatThrownBy(() -> new SparseTransport(cost, a, b, gamma, k))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}
