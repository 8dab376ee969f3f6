package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code moe inspect} on the layout of google/switch-c-2048. */
class EncoderDecoderTextTest {
  private static final Path FOLDER =
      Path.of("..", "models", "src", "test", "resources", "families", "switch_transformers-shards");

  @Test
  void text() {
    TrainCommandTest.Run seen = TrainCommandTest.moe("inspect", FOLDER.toString());
    assertThat(seen.status()).isZero();
    assertThat(seen.out())
        .contains("3 of the encoder, 3 of the decoder, width 20, 3 heads of 8, 48 tokens")
        .contains("decoder blocks [0, 1, 2]: top 1 of 6, width 24; router switch")
        .contains("config.json num_decoder_layers is 2, by the tensors 3");
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
    assertThat(json.get("contradictions")).hasSize(3);
  }
}
