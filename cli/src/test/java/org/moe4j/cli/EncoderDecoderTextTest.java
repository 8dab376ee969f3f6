package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code moe inspect} on the layout of google/switch-c-2048. */
class EncoderDecoderTextTest {
  private static final Path FOLDER = Fixtures.family("switch_transformers-shards");

  @Test
  void text() {
    TrainCommandTest.Run seen = TrainCommandTest.moe("inspect", FOLDER.toString());
    assertThat(seen.status()).isZero();
    assertThat(seen.out())
        .contains("3 of the encoder, 3 of the decoder, width 20, 48 tokens")
        .contains("multi-head: 3 heads of 8; relative positions in 32 buckets up to distance 128")
        .contains("decoder layers 0-2: top 1 of 6, width 24, relu; none shared")
        .contains("softmax over all experts, then the best one; weights as they are")
        .contains("capacity    an expert serves at most 64 tokens of a sequence")
        .contains("config      num_decoder_layers is 2, by the tensors 3");
  }

  @Test
  void json() {
    TrainCommandTest.Run seen = TrainCommandTest.moe("inspect", FOLDER.toString(), "--json");
    assertThat(seen.status()).isZero();
    JsonNode json = new JsonMapper().readTree(seen.out());
    assertThat(json.get("layout").stringValue()).isEqualTo("switch_transformers");
    assertThat(json.get("tied").booleanValue()).isFalse();
    long expert = 2 * 2 * 20 * 24;
    assertThat(json.get("bytes_expert").longValue()).isEqualTo(expert);
    assertThat(json.get("bytes_per_token").longValue()).isEqualTo(3 * expert);
    assertThat(json.at("/bytes/routed_experts").longValue()).isEqualTo(36 * expert);
    assertThat(json.at("/bytes/total").longValue())
        .isEqualTo(2 * json.get("params_total").longValue());
    assertThat(json.get("moe")).hasSize(2);
    assertThat(json.at("/moe/1/stack").stringValue()).isEqualTo("decoder");
    assertThat(json.at("/moe/1/score").stringValue()).isEqualTo("softmax");
    assertThat(json.get("contradictions")).hasSize(3);
  }
}
