package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Tensor;

/** Hash layers (S13): the router that looks a token's id up, and the sparse layer around it. */
class HashRouterTest extends InScope {
  private static final int V = 50;
  private static final int E = 4;
  private static final int D = 6;

  static void refused(ThrowingCallable call, String... parts) {
    assertThatThrownBy(call)
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll(parts)
        .hasMessageNotContaining("\n");
  }

  private static MoeConfig.Builder config(Map<String, Object> options) {
    Map<String, Object> all = new HashMap<>(Map.of("vocab", V));
    all.putAll(options);
    return MoeConfig.builder(D, 8, E, 1).router("hash", all).init(InitScheme.T5);
  }

  private static HashRouter router(Map<String, Object> options) {
    return (HashRouter) new MoeLayer(config(options).build(), wide(1), 3).router();
  }

  private static long[] spread(int tokens) {
    return LongStream.range(0, tokens).map(i -> (i * i * 7 + 3 * i) % V).toArray();
  }

  private long[] chosen(Router router, TokenContext context) {
    TokenChoice plan = (TokenChoice) router.route(normal(context.tokens(), D), context);
    assertThat(plan.weights().toDoubles()).containsOnly(1);
    return plan.experts().toLongs();
  }

  @Test
  void anIdGoesToOneExpertWhereverItStands() {
    HashRouter router = router(Map.of());
    long[] ids = spread(40);
    long[] first = chosen(router, TokenContext.eval(2, 20).withIds(Tensor.of(ids)));
    for (int t = 0; t < 40; t++) {
      assertThat(first[t]).isEqualTo(router.table()[(int) ids[t]]);
    }
    for (TokenContext c : List.of(TokenContext.eval(40, 1), TokenContext.train(1, 40, random))) {
      assertThat(chosen(router, c.withIds(Tensor.of(ids)))).isEqualTo(first);
    }
    assertThat(router(Map.of()).table()).isEqualTo(router.table());
    assertThat(router(Map.of("seed", 43)).table()).isNotEqualTo(router.table());
    HashRouter other = (HashRouter) new MoeLayer(config(Map.of()).build(), wide(1), 4).router();
    assertThat(other.table()).isNotEqualTo(router.table());
  }

  @Test
  void theOutputIsTheLoopOverTokensAndIdleExpertsGetNoGradient() {
    ParameterStore store = wide(5);
    ExpertForm form = ExpertForm.RELU.withBiases(true);
    MoeLayer layer = new MoeLayer(config(Map.of()).form(form).build(), store, 0);
    HashRouter router = (HashRouter) layer.router();
    for (Parameter p : store.all()) {
      if (p.role() instanceof Role.RoutedExperts) {
        p.tensor().detach().copyInPlace(normal(p.tensor().shape()));
      }
    }
    long[] ids = Arrays.stream(spread(30)).filter(id -> router.table()[(int) id] != 2).toArray();
    Tensor x = normal(ids.length, D).requiresGrad(true);
    TokenContext context = TokenContext.train(1, ids.length, random).withIds(Tensor.of(ids));
    double[][] in = rows(x.detach());
    double[][] out = rows(layer.forward(x, context).output().detach());
    for (int t = 0; t < ids.length; t++) {
      long e = router.table()[(int) ids[t]];
      double[] expected =
          Loops.expert(
              form,
              rows(store.named("experts.w_in").tensor().detach().select(0, e)),
              rows(store.named("experts.w_out").tensor().detach().select(0, e)),
              store.named("experts.b_in").tensor().detach().select(0, e).toDoubles(),
              store.named("experts.b_out").tensor().detach().select(0, e).toDoubles(),
              in[t]);
      assertThat(out[t]).containsExactly(expected, within(1e-9));
    }
    Tensor g = normal(ids.length, D);
    Tensor w = store.named("experts.w_in").tensor();
    slopes("x", x, 1e-6, () -> layer.forward(x, context).output().mul(g).sum());
    slopes("w_in", w, 1e-6, () -> layer.forward(x, context).output().mul(g).sum());
    layer.forward(x, context).output().sum().backward();
    assertThat(w.grad().orElseThrow().select(0, 2).toDoubles()).containsOnly(0);
  }

  @Test
  void aBalancedTableIsMadeFromTheCorpusAndNotBefore() {
    HashRouter router = router(Map.of("table", "balanced"));
    TokenContext context = TokenContext.eval(1, 3).withIds(Tensor.of(new long[] {1, 2, 3}));
    refused(() -> router.route(normal(3, D), context), "gate.table", "balanced", "prepare");
    long[] counts = LongStream.range(0, V).map(v -> 1000 / (v + 1)).toArray();
    router.prepare(new CorpusCounts(counts, new long[0]));
    assertThat(router.table()).isEqualTo(HashTables.balanced(counts, E));
    assertThat(chosen(router, context)).containsExactly(Arrays.copyOfRange(router.table(), 1, 4));
    CorpusCounts other = new CorpusCounts(new long[7], new long[0]);
    refused(() -> router.prepare(other), "vocabulary of 50");
  }

  @ParameterizedTest
  @ValueSource(strings = {"embed.weight", "model.embed_tokens.weight"})
  void clustersAreThoseOfACheckpointsEmbeddings(String name, @TempDir Path dir) {
    Tensor words = normal(V, 5);
    for (int v = 0; v < V; v++) {
      // Four groups far from each other.
      words.select(0, v).select(0, v % 4).addInPlace(100);
    }
    SafetensorsWriter.writeFile(
        dir.resolve(Safetensors.SINGLE_FILE),
        List.of(SafetensorsWriter.Item.of(name, words.to(DType.F32))),
        Map.of());
    CorpusCounts counts = new CorpusCounts(spread(V), new long[0]);
    Map<String, Object> options = Map.of("table", "clustered", "embeddings", dir.toString());
    HashRouter clustered = router(options);
    clustered.prepare(counts);
    long[] table = clustered.table();
    for (int v = 0; v < V; v++) {
      assertThat(table[v]).isEqualTo(table[v % 4]);
    }
    assertThat(Arrays.stream(table).distinct().count()).isEqualTo(4);
    HashRouter dispersed = router(Map.of("table", "dispersed", "embeddings", dir.toString()));
    dispersed.prepare(counts);
    assertThat(dispersed.table()).isEqualTo(HashTables.dispersed(table, counts.tokens(), E));
    HashMap<String, Object> smaller = new HashMap<>(options);
    smaller.put("vocab", 20);
    HashRouter other = router(smaller);
    refused(
        () -> other.prepare(new CorpusCounts(new long[20], new long[0])), name, "20", "tokenizer");
  }

  @Test
  void badInputIsRefusedInOneLine(@TempDir Path dir) {
    HashRouter router = router(Map.of());
    for (long bad : new long[] {-1, V, Long.MAX_VALUE}) {
      TokenContext context = TokenContext.eval(1, 2).withIds(Tensor.of(new long[] {3, bad}));
      refused(
          () -> router.route(normal(2, D), context),
          "layer 0",
          "token 1",
          "id " + bad,
          "vocabulary of 50");
    }
    refused(() -> router.route(normal(2, D), TokenContext.eval(1, 2)), "token ids", "withIds");
    MoeConfig untold = MoeConfig.builder(D, 8, E, 1).router("hash").build();
    refused(() -> new MoeLayer(untold, wide(1)), "hash", "vocab");
    refused(() -> MoeConfig.builder(D, 8, 0, 1).router("hash").build(), "experts");
    MoeConfig two = config(Map.of()).topK(2).build();
    refused(() -> new MoeLayer(two, wide(1)), "hash", "top-k");
    refused(() -> router.use(new long[V - 1]), "49", "50");
    long[] wrong = new long[V];
    wrong[7] = E;
    refused(() -> router.use(wrong), "word 7", "expert 4");
    CorpusCounts counts = new CorpusCounts(new long[V], new long[0]);
    refused(() -> router(Map.of("table", "clustered")).prepare(counts), "embeddings");
    Map<String, Object> missing =
        Map.of("table", "dispersed", "embeddings", dir.resolve("none").toString());
    refused(() -> router(missing).prepare(counts), "none");
    MoeConfig fraction =
        config(Map.of()).balance(FractionBalance.switchLoss(Grouping.BATCH), 0.1).build();
    refused(() -> Validity.check(fraction, Validity.Use.CAUSAL_TRAINING, false), "switch", "hash");
  }

  @Test
  void paddingIdsMayBeAnything() {
    TokenContext context =
        TokenContext.eval(1, 3)
            .withIds(Tensor.of(new long[] {4, -100, 5}))
            .withPadding(Tensor.of(new byte[] {1, 0, 1}).to(DType.BOOL));
    TokenChoice plan = router(Map.of()).route(normal(3, D), context);
    assertThat(plan.experts().toLongs()[1]).isEqualTo(-1);
  }
}
