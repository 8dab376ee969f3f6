package org.moe4j.train.route;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;
import org.moe4j.MoeOutput;
import org.moe4j.ParameterStore;
import org.moe4j.RouterEntry;
import org.moe4j.RouterRegistry;
import org.moe4j.TokenContext;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.LanguageModel;
import org.moe4j.train.data.BpeTokenizer;
import org.moe4j.train.data.BpeTrainer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Whole studies of tiny models with the bytes as vocabulary. */
class RoutingStudyTest {
  private static final RoutingStudy.Options ALL = new RoutingStudy.Options(OptionalInt.empty(), 0);
  private static final RoutingStudy.Progress QUIET = (done, total) -> {};

  @TempDir private Path folder;
  private final BpeTokenizer tokenizer = new BpeTrainer(257).train();

  private static MoeConfig moe(String router, int k) {
    // One router wants its experts in eight groups.
    int experts = router.equals("deepseek-v2") ? 8 : 4;
    return MoeConfig.builder(16, 8, experts, k).router(router).build();
  }

  private Subject subject(FeedForwardConfig... halves) {
    AttentionConfig attention = AttentionConfig.of(16, 2);
    DecoderConfig config =
        DecoderConfig.builder(tokenizer.vocabSize(), 16, attention, List.of(halves))
            .maxPositions(16)
            .build();
    Decoder model = new Decoder(config, new ParameterStore(3));
    return new Subject(new LanguageModel(model, tokenizer, Set.of()));
  }

  private RoutingFindings study(Subject subject, RoutingStudy.Options options, Path... files) {
    try (subject) {
      return RoutingStudy.run(folder, subject, TextInput.of(List.of(files)), options, QUIET);
    }
  }

  private Path file(String name, String text) throws IOException {
    return Files.writeString(folder.resolve(name), text);
  }

  @Test
  void everyTokenOfTheTextIsCountedOnceInEverySparseLayer() throws IOException {
    Path a = file("a.txt", "the quick brown fox jumps over the lazy dog");
    Path b = file("b.txt", "0123456789 ".repeat(20));
    RoutingFindings f =
        study(
            subject(
                new FeedForwardConfig.Moe(moe("softmax-top-k", 2)),
                new FeedForwardConfig.Dense(ExpertForm.SWIGLU, 8),
                new FeedForwardConfig.Moe(moe("softmax-top-k", 2))),
            ALL,
            a,
            b);
    assertThat(f.tokens()).isEqualTo(43 + 220);
    assertThat(f.domains()).containsExactly("a", "b");
    assertThat(f.domainTokens()).containsExactly(43, 220);
    // 15 tokens and the mark before them: 3 and 15 sequences.
    assertThat(f.sequences()).isEqualTo(3 + 15);
    assertThat(f.layers()).extracting(LayerFindings::layer).containsExactly(0, 2);
    for (LayerFindings layer : f.layers()) {
      assertThat(Arrays.stream(layer.load().counts()[0]).sum()).isEqualTo(2 * 43);
      assertThat(Arrays.stream(layer.load().counts()[1]).sum()).isEqualTo(2 * 220);
      assertThat(Arrays.stream(layer.first()[1]).sum()).isEqualTo(220);
      assertThat(layer.repetition().orElseThrow().pairs()).isEqualTo(263 - 18);
      assertThat(layer.confidence().orElseThrow().topProbability()).isBetween(0.25, 1.0);
      assertThat(layer.coactivation()).isPresent();
      assertThat(layer.router()).isPresent();
      assertThat(layer.experts()).isPresent();
    }
    assertThat(String.join("", f.samples().getFirst().pieces())).isEqualTo("the quick brown");
  }

  @Test
  void theLoadIsThatOfOneSequenceAfterTheOther() throws IOException {
    Path text = file("a.txt", "some words, and then some more of them. ".repeat(10));
    FeedForwardConfig half = new FeedForwardConfig.Moe(moe("softmax-top-k", 2));
    double[] counted = study(subject(half), ALL, text).layers().getFirst().load().load();
    LoadAnalysis load = new LoadAnalysis(1, 4);
    try (Subject subject = subject(half)) {
      Batcher single = new Batcher(subject.start(), 1, batch -> one(subject, batch, load));
      new Sequences(TextInput.of(List.of(text)), subject, 15, 0).read(single::add);
      single.finish();
    }
    for (int e = 0; e < 4; e++) {
      // Rounding may tip a token between two experts that are nearly alike.
      assertThat(counted[e]).isEqualTo(load.load()[e], within(2.0));
    }
  }

  private static void one(Subject subject, TokenBatch batch, LoadAnalysis load) {
    assertThat(batch.sequences()).isEqualTo(1);
    try (Scope scope = Scope.open()) {
      Tensor ids = Tensor.of(batch.ids(), 1, batch.length());
      TokenContext context = TokenContext.eval(1, batch.length());
      MoeOutput out = subject.model().forward(ids, context).layers().getFirst();
      load.add(batch, RoutingTrace.of(0, out.routing(), batch.tokens()));
    }
  }

  @Test
  void aLimitTakesAsMuchOfEveryFile() throws IOException {
    Path a = file("a.txt", "a".repeat(1000));
    Path b = file("b.txt", "b".repeat(1000));
    Subject subject = subject(new FeedForwardConfig.Moe(moe("softmax-top-k", 1)));
    RoutingFindings f = study(subject, new RoutingStudy.Options(OptionalInt.of(8), 100), a, b);
    assertThat(f.domainTokens()).containsExactly(50, 50);
    assertThat(f.context()).isEqualTo(8);
    // Seven tokens to a sequence, and one at the end.
    assertThat(f.sequences()).isEqualTo(16);
    assertThat(f.layers().getFirst().coactivation()).isEmpty();
  }

  @Test
  void aTextOfOneTokenHasNoRepetition() throws IOException {
    RoutingFindings f =
        study(subject(new FeedForwardConfig.Moe(moe("softmax-top-k", 2))), ALL, file("a.txt", "x"));
    LayerFindings layer = f.layers().getFirst();
    assertThat(layer.repetition().orElseThrow().pairs()).isZero();
    assertThat(layer.specialisation()).isEmpty();
    JsonNode json = new JsonMapper().readTree(RoutingDocument.json(f));
    JsonNode repetition = json.required("layers").get(0).required("repetition");
    assertThat(repetition.required("first").isNull()).isTrue();
    assertThat(repetition.required("either_chance").isNull()).isTrue();
    assertThat(RoutePage.html(f)).contains("–");
  }

  @Test
  void otherFormsOfRoutingHaveTheirLoadAndAReason() throws IOException {
    Subject subject = subject(new FeedForwardConfig.Moe(moe("expert-choice", 2)));
    RoutingFindings f = study(subject, ALL, file("a.txt", "some text ".repeat(9)));
    LayerFindings layer = f.layers().getFirst();
    assertThat(Arrays.stream(layer.load().load()).sum()).isPositive();
    assertThat(layer.repetition()).isEmpty();
    assertThat(layer.note()).contains("ExpertChoice");
    assertThat(RoutePage.html(f)).contains("ExpertChoice");
  }

  static List<String> routers() {
    return RouterRegistry.entries().stream().map(RouterEntry::name).toList();
  }

  @ParameterizedTest
  @MethodSource("routers")
  void everyRouterOfTheRegistryIsStudied(String router) throws IOException {
    Path text = file("a.txt", "a text of a few words ".repeat(4));
    RoutingFindings f = study(routedBy(router), ALL, text);
    LayerFindings layer = f.layers().getFirst();
    assertThat(Arrays.stream(layer.load().load()).sum()).isPositive();
    assertThat(layer.k() > 0 || !layer.note().isEmpty()).isTrue();
    layer.repetition().ifPresent(r -> assertThat(r.pairs()).isPositive());
    assertThat(RoutePage.html(f)).contains("Who goes where");
  }

  /** With two choices, or with one where the router is made for one. */
  private Subject routedBy(String router) {
    try {
      return subject(new FeedForwardConfig.Moe(moe(router, 2)));
    } catch (MoeException e) {
      return subject(new FeedForwardConfig.Moe(moe(router, 1)));
    }
  }

  @Test
  void whatCannotBeStudiedIsRefusedInOneLine() throws IOException {
    Path empty = file("empty.txt", "");
    assertThatThrownBy(
            () -> study(subject(new FeedForwardConfig.Moe(moe("softmax-top-k", 1))), ALL, empty))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("empty.txt: the text is empty");
    Path text = file("a.txt", "text");
    assertThatThrownBy(
            () -> study(subject(new FeedForwardConfig.Dense(ExpertForm.SWIGLU, 8)), ALL, text))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("no sparse layer");
    RoutingStudy.Options far = new RoutingStudy.Options(OptionalInt.of(17), 0);
    assertThatThrownBy(
            () -> study(subject(new FeedForwardConfig.Moe(moe("softmax-top-k", 1))), far, text))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("context 17: the model reads 16 positions");
  }

  @Test
  void thePageIsSafeFromItsText() throws IOException {
    String evil = "</script><script>alert(1)</script><!-- \u2028 ";
    Path text = folder.resolve("evil<b>.txt");
    Files.writeString(text, evil.repeat(5));
    String html =
        RoutePage.html(
            study(subject(new FeedForwardConfig.Moe(moe("softmax-top-k", 2))), ALL, text));
    assertThat(html.split("<script", -1)).hasSize(4);
    assertThat(html).doesNotContain("<script>alert").doesNotContain("<b>.txt");
    assertThat(html).doesNotContainPattern("(src|href)=\"?(https?:)?//");
    assertThat(html).contains("evil&lt;b&gt;");
  }

  @Test
  void theDocumentHasEveryFigure() throws IOException {
    RoutingFindings f =
        study(
            subject(new FeedForwardConfig.Moe(moe("softmax-top-k", 2))),
            ALL,
            file("a.txt", "aaa bbb ".repeat(20)),
            file("b.txt", "111 222 ".repeat(20)));
    JsonNode layer = new JsonMapper().readTree(RoutingDocument.json(f)).required("layers").get(0);
    assertThat(layer.required("counts").size()).isEqualTo(2);
    assertThat(layer.required("counts").get(0).size()).isEqualTo(4);
    double sum = layer.required("load").valueStream().mapToDouble(JsonNode::doubleValue).sum();
    assertThat(sum).isEqualTo(2 * 320);
    assertThat(layer.required("specialisation").isNumber()).isTrue();
    assertThat(layer.required("confidence").required("weights").size()).isEqualTo(2);
    assertThat(layer.required("repetition").required("even_either").doubleValue())
        .isEqualTo(5 / 6.0, within(1e-5));
    assertThat(layer.required("repetition").required("domains").size()).isEqualTo(2);
    assertThat(layer.required("coactivation").required("counts").size()).isEqualTo(6);
    assertThat(layer.required("router_similarity").required("cosines").size()).isEqualTo(6);
    assertThat(layer.required("typical").size()).isEqualTo(4);
  }
}
