package org.moe4j.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.Sampling.Penalties;

class SamplerTest {
  private static final int DRAWS = 20_000;

  private static float[] logits(int n, int seed) {
    Random random = new Random(seed);
    float[] z = new float[n];
    for (int i = 0; i < n; i++) {
      // Some equal ones among them.
      z[i] = i % 7 == 3 ? 1 : (float) (3 * random.nextGaussian());
    }
    return z;
  }

  /** The probabilities that a sampling leaves, from its definition. */
  private static Map<Integer, Double> definition(float[] z, Sampling how) {
    List<Integer> ids =
        new ArrayList<>(
            IntStream.range(0, z.length)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer i) -> -z[i]).thenComparing(i -> i))
                .toList());
    if (how.limits().topK() > 0) {
      ids = ids.subList(0, Math.min(how.limits().topK(), ids.size()));
    }
    Map<Integer, Double> p = softmax(z, ids, how.temperature());
    double sum = 0;
    List<Integer> nucleus = new ArrayList<>();
    for (int id : ids) {
      if (sum < how.limits().topP()) {
        nucleus.add(id);
      }
      sum += p.get(id);
    }
    Map<Integer, Double> inNucleus = softmax(z, nucleus, how.temperature());
    double most = inNucleus.get(nucleus.getFirst());
    nucleus.removeIf(id -> inNucleus.get(id) < how.limits().minP() * most);
    return softmax(z, nucleus, how.temperature());
  }

  private static Map<Integer, Double> softmax(float[] z, List<Integer> ids, double temperature) {
    Map<Integer, Double> p = new HashMap<>();
    double sum = ids.stream().mapToDouble(i -> Math.exp(z[i] / temperature)).sum();
    ids.forEach(i -> p.put(i, Math.exp(z[i] / temperature) / sum));
    return p;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "1 0 1 0",
        "0.7 5 1 0",
        "2 0 0.8 0",
        "1 0 1 0.1",
        "1.3 9 0.9 0.05",
        "0.5 40 0.95 0.02",
        "1 1000 0.5 0",
        "3 1 1 1",
        "1 13 1 0"
      })
  void tokensAreDrawnAsOftenAsTheDefinitionsSay(String numbers) {
    float[] n = new float[4];
    String[] words = numbers.split(" ", -1);
    for (int i = 0; i < 4; i++) {
      n[i] = Float.parseFloat(words[i]);
    }
    Sampling how = Sampling.GREEDY.withTemperature(n[0]).withLimits((int) n[1], n[2], n[3]);
    float[] z = logits(50, 11);
    Map<Integer, Double> expected = definition(z, how);
    Sampler sampler = new Sampler(how.withSeed(7));
    Map<Integer, Integer> drawn = new TreeMap<>();
    for (int i = 0; i < DRAWS; i++) {
      drawn.merge(sampler.next(z), 1, Integer::sum);
    }
    assertThat(expected.keySet()).containsAll(drawn.keySet());
    expected.forEach(
        (id, p) -> {
          double deviation = Math.sqrt(p * (1 - p) / DRAWS);
          double seen = drawn.getOrDefault(id, 0) / (double) DRAWS;
          assertThat(seen).as("token " + id).isCloseTo(p, within(5 * deviation + 1e-4));
        });
  }

  @Test
  void sameSeedDrawsTheSameAndAnotherAnother() {
    float[] z = logits(300, 1);
    assertThat(draws(z, 5)).isEqualTo(draws(z, 5)).isNotEqualTo(draws(z, 6));
  }

  private static List<Integer> draws(float[] z, long seed) {
    Sampler sampler = new Sampler(Sampling.GREEDY.withTemperature(1).withSeed(seed));
    return IntStream.range(0, 50).map(i -> sampler.next(z)).boxed().toList();
  }

  @Test
  void greedyTakesTheFirstOfTheLikeliest() {
    float[] z = {1, 5, 5, 2};
    assertThat(new Sampler(Sampling.GREEDY).next(z)).isEqualTo(1);
    Sampling one = Sampling.GREEDY.withTemperature(1).withLimits(1, 1, 0);
    assertThat(new Sampler(one).next(z)).isEqualTo(1);
  }

  @Test
  void penaltiesAreThoseOfTheirDefinitionsInsideTheWindow() {
    Sampling how = Sampling.GREEDY.withPenalties(new Penalties(2, 0.5f, 0.25f, 3));
    Sampler sampler = new Sampler(how);
    for (int token : new int[] {3, 0, 0, 1}) {
      sampler.accept(token); // 3 has left the window
    }
    // 0: 6 / 2 - 2 * 0.5 - 0.25 = 1.75; 1: -1 * 2 - 0.5 - 0.25 = -2.75
    assertThat(sampler.next(new float[] {6, -1, 1.74f, 0})).isEqualTo(0);
    assertThat(sampler.next(new float[] {6, -1, 1.76f, 0})).isEqualTo(2);
    assertThat(sampler.next(new float[] {6, -1, 0, 1.76f})).isEqualTo(3);
    assertThat(sampler.next(new float[] {-9, -1, -2.74f, -3})).isEqualTo(2);
    assertThat(sampler.next(new float[] {-9, -1, -2.76f, -3})).isEqualTo(1);
  }

  @Test
  void biasIsAddedBeforeEverythingElse() {
    float[] z = {1, 2, 3};
    Sampling how = Sampling.GREEDY.withBias(Map.of(0, 2.5f, 2, Float.NEGATIVE_INFINITY));
    assertThat(new Sampler(how).next(z)).isZero();
    Sampling drawing = how.withTemperature(100);
    Sampler sampler = new Sampler(drawing);
    assertThat(IntStream.range(0, 500).map(i -> sampler.next(z)).boxed().toList())
        .contains(0, 1)
        .doesNotContain(2);
    assertThat(z).containsExactly(1, 2, 3);
    Map<Integer, Float> all =
        Map.of(0, Float.NEGATIVE_INFINITY, 1, Float.NEGATIVE_INFINITY, 2, Float.NEGATIVE_INFINITY);
    assertThatThrownBy(() -> new Sampler(Sampling.GREEDY.withBias(all)).next(z))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("forbidden by the logit bias");
    assertThatThrownBy(() -> new Sampler(Sampling.GREEDY.withBias(Map.of(3, 1f))).next(z))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("token 3 is not in the vocabulary of 3");
  }

  @Test
  void rankingIsThatOfASort() {
    for (int seed = 0; seed < 20; seed++) {
      float[] z = logits(200 + seed, seed);
      z[5] = Float.NEGATIVE_INFINITY;
      z[6] = -0f;
      z[7] = 0;
      List<Integer> sorted =
          IntStream.range(0, z.length)
              .boxed()
              .sorted(Comparator.comparingDouble((Integer i) -> -z[i] + 0.0).thenComparing(i -> i))
              .toList();
      for (int count : new int[] {0, 1, 2, 17, 100, 199, 200, 1000}) {
        assertThat(Ranking.first(z, count))
            .containsExactly(sorted.stream().limit(count).mapToInt(Integer::intValue).toArray());
      }
      assertThat(Ranking.above(z, 0.5f))
          .containsExactly(
              sorted.stream().filter(i -> z[i] >= 0.5f).mapToInt(Integer::intValue).toArray());
    }
  }

  @Test
  void logprobsAreLogarithmsOfTheSoftmax() {
    float[] z = logits(40, 3);
    Map<Integer, Double> p = softmax(z, IntStream.range(0, 40).boxed().toList(), 1);
    Logprobs logprobs = Logprobs.of(z, 17, 3);
    assertThat(logprobs.token()).isEqualTo(17);
    assertThat(logprobs.logprob()).isCloseTo(Math.log(p.get(17)), within(1e-9));
    assertThat(logprobs.top()).hasSize(3);
    assertThat(logprobs.top().getFirst().token()).isEqualTo(new Sampler(Sampling.GREEDY).next(z));
    logprobs
        .top()
        .forEach(r -> assertThat(r.logprob()).isCloseTo(Math.log(p.get(r.token())), within(1e-9)));
  }

  @Test
  void numbersThatMakeNoSenseAreRefused() {
    Sampling how = Sampling.GREEDY;
    assertThatThrownBy(() -> how.withTemperature(-1)).hasMessageContaining("temperature is -1.0");
    assertThatThrownBy(() -> how.withTemperature(Float.NaN)).hasMessageContaining("temperature");
    assertThatThrownBy(() -> how.withLimits(0, 0, 0)).hasMessageContaining("topP is 0.0");
    assertThatThrownBy(() -> how.withLimits(-1, 1, 0)).hasMessageContaining("topK is -1");
    assertThatThrownBy(() -> how.withLimits(0, 1, 2)).hasMessageContaining("minP is 2.0");
    assertThatThrownBy(() -> how.withRepetition(0, 1)).hasMessageContaining("repetition is 0.0");
    assertThatThrownBy(() -> how.withTokens(-1)).hasMessageContaining("tokens is -1");
    assertThatThrownBy(() -> how.withStopTexts(List.of("a", ""))).hasMessageContaining("empty");
    assertThatThrownBy(() -> how.withBias(Map.of(4, Float.NaN))).hasMessageContaining("token 4");
    assertThat(how.withStop(Set.of(1)).stop()).containsExactly(1);
  }
}
