package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** What S08 says of SWIPE: workers get equal rows and nothing is dropped. */
class SwipeRouterTest extends InScope {
  /** A gate whose logits are its inputs. */
  private static SwipeRouter router(int experts, int k, int workers) {
    ParameterStore store = wide(1);
    SwipeRouter router = new SwipeRouter(experts, experts, k, workers, Init.zeros(), store, 0);
    double[][] eye = new double[experts][experts];
    for (int e = 0; e < experts; e++) {
      eye[e][e] = 1;
    }
    store.named("gate.weight").tensor().detach().copyInPlace(matrix(eye));
    return router;
  }

  private static TokenContext train(long tokens) {
    return TokenContext.train(1, tokens, new RandomSource(9));
  }

  /** One request after the other, from queues: the same rules in another form. */
  private static int[][] queued(double[][] z, int k, int workers) {
    int experts = z[0].length;
    int each = experts / workers;
    int own = z.length / workers;
    int[][] out = new int[z.length][k];
    int[] room = new int[workers];
    Arrays.fill(room, own * k);
    for (int j = 0; j < k; j++) {
      boolean[] refused = new boolean[z.length];
      // Ascending tokens are ascending sources, and a target's room goes to them in this order.
      for (int t = 0; t < z.length; t++) {
        int wish = Loops.top(z[t], k)[j];
        refused[t] = room[wish / each] == 0;
        if (!refused[t]) {
          out[t][j] = wish;
          room[wish / each]--;
        }
      }
      List<Integer> places = new ArrayList<>();
      for (int w = 0; w < workers; w++) {
        for (int i = 0; i < room[w]; i++) {
          places.add(w);
        }
      }
      int next = 0;
      for (int t = 0; t < z.length; t++) {
        if (refused[t]) {
          int w = places.get(next++);
          out[t][j] = w * each + j % each;
          room[w]--;
        }
      }
    }
    return out;
  }

  private double[][] skewed(int tokens, int experts) {
    double[][] z = rows(normal(tokens, experts));
    for (double[] row : z) {
      row[0] += 2;
      row[1] += 1;
    }
    return z;
  }

  @Test
  void equalsTheQueuesAndFillsEveryWorkerExactly() {
    for (int workers : new int[] {1, 2, 4, 8}) {
      for (int k : new int[] {1, 2, 3}) {
        double[][] z = skewed(24, 8);
        TokenChoice r = router(8, k, workers).route(matrix(z), train(24));
        int[][] expected = queued(z, k, workers);
        int[] load = new int[workers];
        for (int t = 0; t < 24; t++) {
          assertThat(indices(r.experts())[t]).containsExactly(expected[t]);
          double[] logits = new double[k];
          for (int j = 0; j < k; j++) {
            logits[j] = z[t][expected[t][j]];
            load[expected[t][j] * workers / 8]++;
          }
          assertThat(rows(r.weights())[t]).containsExactly(Loops.softmax(logits), within(1e-12));
        }
        assertThat(load).containsOnly(24 / workers * k);
      }
    }
  }

  @Test
  void aSmallCaseByHand() {
    // Two workers of one expert and two tokens each; three of the four tokens want expert 0.
    Tensor z = Tensor.of(new double[] {3, 0, 2, 0, 0, 1, 5, 0}, 4, 2);
    TokenChoice one = router(2, 1, 2).route(z, train(4));
    assertThat(one.experts().toLongs()).containsExactly(0, 0, 1, 1);
    // With k = 2 each worker has room for 4 rows: first choices fit, and so do the second ones.
    TokenChoice two = router(2, 2, 2).route(z, train(4));
    assertThat(two.experts().toLongs()).containsExactly(0, 1, 0, 1, 1, 0, 0, 1);
    // All want expert 0 first: it is full after that, and second choices are served as wished.
    Tensor same = Tensor.of(new double[] {3, 0, 2, 0, 4, 1, 5, 0}, 4, 2);
    assertThat(router(2, 2, 2).route(same, train(4)).experts().toLongs())
        .containsExactly(0, 1, 0, 1, 0, 1, 0, 1);
  }

  @Test
  void aTokenMayVisitAnExpertTwiceAndBothCount() {
    // Four experts on two workers; the first choices fill worker 0, whose second choices move to
    // local expert 1 of worker 1.
    double[][] z = new double[4][];
    Arrays.setAll(z, t -> new double[] {4, 3, 0, 1});
    z[3] = new double[] {3, 0, 0, 4};
    TokenChoice r = router(4, 2, 2).route(matrix(z), train(4));
    assertThat(r.experts().toLongs()).containsExactly(0, 1, 0, 3, 0, 3, 3, 3);
    assertThat(rows(r.weights())[3]).containsExactly(new double[] {0.5, 0.5}, within(1e-12));
    MoeConfig config =
        MoeConfig.builder(4, 3, 4, 2)
            .router("swipe", Map.of("workers", 2))
            .init(InitScheme.T5)
            .build();
    Tensor x = matrix(skewed(8, 4));
    Tensor reference = null;
    for (Dispatch how : Dispatch.values()) {
      MoeLayer layer = new MoeLayer(config.toBuilder().dispatch(how).build(), wide(3));
      MoeOutput out = layer.forward(x, train(8));
      if (reference == null) {
        reference = out.output();
      }
      same(out.output(), reference, 1e-12);
    }
  }

  @Test
  void evaluationIsPlainTopK() {
    double[][] z = skewed(30, 8);
    TokenChoice r = router(8, 2, 0).route(matrix(z), TokenContext.eval(1, 30));
    for (int t = 0; t < 30; t++) {
      assertThat(indices(r.experts())[t]).containsExactly(Loops.top(z[t], 2));
    }
  }

  @Test
  void unequalRunsAndPaddingKeepEveryRow() {
    byte[] mask = {1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1};
    TokenContext context = train(11).withPadding(Tensor.of(mask).to(DType.BOOL));
    double[][] z = skewed(11, 4);
    TokenChoice r = router(4, 2, 4).route(matrix(z), context);
    int[] load = new int[4];
    for (int t = 0; t < 11; t++) {
      for (int e : indices(r.experts())[t]) {
        assertThat(e >= 0).isEqualTo(mask[t] == 1);
        if (e >= 0) {
          load[e]++;
        }
      }
    }
    // Workers hold tokens 0-2, 3-5, 6-8 and 9-10, of which 2, 3, 2 and 2 are real.
    assertThat(load).containsExactly(4, 6, 4, 4);
  }

  @Test
  void workersMustDivideTheExperts() {
    assertThatThrownBy(() -> router(8, 2, 3))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("8 experts do not divide among 3 workers");
  }
}
