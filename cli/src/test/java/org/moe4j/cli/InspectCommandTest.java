package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code moe inspect} on the tiny checkpoints of all families. */
class InspectCommandTest {
  private static TrainCommandTest.Run inspect(String setting, String... more) {
    String[] args = new String[more.length + 2];
    args[0] = "inspect";
    args[1] = Fixtures.family(setting).toString();
    System.arraycopy(more, 0, args, 2, more.length);
    TrainCommandTest.Run run = TrainCommandTest.moe(args);
    assertThat(run.status()).as(run.err()).isZero();
    return run;
  }

  /** Lines that were broken are one again. */
  private static String text(String setting) {
    return inspect(setting).out().replaceAll("\n {12}", " ");
  }

  private static JsonNode json(String setting) {
    return new JsonMapper().readTree(inspect(setting, "--json").out());
  }

  static List<String> settings() throws IOException {
    try (Stream<Path> all = Files.list(Fixtures.family("."))) {
      return all.filter(Files::isDirectory).map(p -> p.getFileName().toString()).sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("settings")
  void fitsATerminalAndIsADocument(String setting) {
    assertThat(inspect(setting).out().lines()).allMatch(line -> line.length() <= TextTable.WIDTH);
    JsonNode json = json(setting);
    assertThat(json.required("params_active").longValue())
        .isBetween(1L, json.required("params_total").longValue() - 1);
    long roles =
        json.required("bytes").propertyStream()
            .filter(e -> !e.getKey().equals("total"))
            .mapToLong(e -> e.getValue().longValue())
            .sum();
    assertThat(json.at("/bytes/total").longValue()).isEqualTo(roles);
    assertThat(json.required("moe").valueStream())
        .isNotEmpty()
        .allMatch(kind -> kind.required("layers").size() > 0 && kind.hasNonNull("gating"));
  }

  @Test
  void latentAttentionAndGroupLimitedRouting() {
    assertThat(text("deepseek_v3-fp8"))
        .contains("(deepseek_v3, F8_E4M3)")
        .contains("parameters  122,708, of which a token meets 111,188 (90.6%)")
        .contains("latent (MLA): 2 heads of 8 + 6 rotated, values of 10; rank 130 of keys and")
        .contains("cache: 136 numbers for a token in each layer")
        .contains("dense       layer 0: width 24, gated silu")
        .contains("layer 1: top 2 of 4, width 12, gated silu; shared of width 12")
        .contains("best 2 by score + bias within 1 of 2 groups (rated by their two best together)")
        .contains("weights divided by their sum, times 2.5");
    JsonNode json = json("deepseek_v3-fp8");
    assertThat(json.at("/attention/kind").stringValue()).isEqualTo("latent");
    assertThat(json.at("/attention/kv_rank").intValue()).isEqualTo(130);
    assertThat(json.at("/attention/cache_per_token").intValue()).isEqualTo(136);
    JsonNode moe = json.at("/moe/0");
    assertThat(moe.required("selection_bias").booleanValue()).isTrue();
    assertThat(moe.required("kept_groups").intValue()).isEqualTo(1);
    assertThat(moe.required("renormalise").stringValue()).isEqualTo("before_drop");
    assertThat(moe.required("scale").doubleValue()).isEqualTo(2.5);
  }

  @Test
  void sinksWindowsAndScaledPositions() {
    assertThat(text("gpt_oss-mxfp4"))
        .contains("(gpt_oss, MXFP4)")
        .contains("grouped-query (GQA): 4 heads of 16, 2 of keys and values; a learned sink")
        .contains("sliding window of 6: layer 0")
        .contains("YaRN scaling by 8 beyond 16 positions")
        .contains("gated quick gelu clamped at 7 with biases")
        .contains("the largest 2 logits, then softmax of these");
    JsonNode json = json("gpt_oss-mxfp4");
    assertThat(json.at("/attention/sinks").booleanValue()).isTrue();
    assertThat(json.at("/attention/rope/scaling/type").stringValue()).isEqualTo("yarn");
    assertThat(json.required("sliding_windows").valueStream().map(JsonNode::intValue))
        .containsExactly(6, 0);
  }

  @Test
  void attentionExperts() {
    assertThat(text("jetmoe-base"))
        .contains("mixture of attention heads (MoA): top 2 of 5 experts with 2 query heads of 8")
        .contains("a bias on their sum");
    assertThat(json("jetmoe-base").at("/attention/top_k").intValue()).isEqualTo(2);
  }

  @Test
  void whatIsNoPartOfTheDecoder() {
    assertThat(text("aria-multimodal")).contains("not read    39 tensors, 5,024 bytes");
    assertThat(json("aria-multimodal").required("bytes_ignored").longValue()).isEqualTo(5024);
  }

  @Test
  void clippedAttentionAndNormsOfWeights() {
    assertThat(text("dbrx-base")).contains("queries, keys and values clipped at 1.5");
    assertThat(text("dbrx-p2")).contains("weights divided by their 2-norm");
    assertThat(json("dbrx-p2").at("/moe/0/norm").doubleValue()).isEqualTo(2);
  }

  @Test
  void factorsAndRoutersOfTheirOwn() {
    assertThat(text("granitemoe-base")).contains("factors: embedding 12, residual 0.22, logits 5");
    assertThat(text("phimoe-long")).contains("LongRoPE").contains("routing     grin: ");
  }
}
