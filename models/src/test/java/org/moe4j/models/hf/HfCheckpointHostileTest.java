package org.moe4j.models.hf;

import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.models.Decoder;
import org.moe4j.models.Tiny;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.SafetensorsWriter.Item;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Checkpoints that do not fit together: one line that names the file and the field or tensor. */
class HfCheckpointHostileTest {
  @TempDir Path dir;

  private void copy(String name) throws Exception {
    Path folder = HfCheckpointTest.resource(name);
    for (String file : List.of("config.json", "model.safetensors")) {
      Files.copy(folder.resolve(file), dir.resolve(file));
    }
  }

  private void refused(String... words) {
    assertThatThrownBy(() -> HfCheckpoint.load(dir).model().close())
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(dir.toString())
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"))
        .satisfies(e -> assertThat(words).allSatisfy(w -> assertThat(e.getMessage()).contains(w)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      value = {
        "\"model_type\": \"mixtral\"|\"model_type\": \"llama\"|model_type llama|olmoe, mixtral",
        "\"hidden_size\": 32|\"hidden_size\": \"big\"|hidden_size big|whole number",
        "\"hidden_size\": 32|\"hidden_size\": 30|divide hidden_size 30",
        "\"hidden_size\": 32|\"hidden_size\": 0|hidden_size 0",
        "\"hidden_size\": 32,||hidden_size is missing",
        "\"num_attention_heads\": 4|\"num_attention_heads\": 5|num_attention_heads 5|divide",
        "\"num_key_value_heads\": 2|\"num_key_value_heads\": 3|kv_heads 3|divide heads 4",
        "\"num_experts_per_tok\": 2|\"num_experts_per_tok\": 9|top-k 9|4 experts",
        "\"hidden_act\": \"silu\"|\"hidden_act\": \"gelu\"|hidden_act gelu|not supported",
        "\"rope_type\": \"default\"|\"rope_type\": \"yarn\"|rope_parameters/factor|is missing",
        "\"rope_type\": \"default\"|\"rope_type\": \"wave\"|rope type wave|not supported",
        "\"rope_theta\": 10000.0|\"rope_theta\": -1|rope_theta -1",
        "\"sliding_window\": null|\"sliding_window\": -16|sliding_window -16",
        "\"vocab_size\": 61|\"vocab_size\": 60|embed_tokens.weight|[61, 32]|[60, 32]",
        "\"intermediate_size\": 24|\"intermediate_size\": 25|[24, 32]|[25, 32]",
        "\"num_local_experts\": 4|\"num_local_experts\": 5|6 tensors missing|experts.4.w1.weight",
        "\"num_local_experts\": 4|\"num_local_experts\": 3|6 tensors unexpected|experts.3.w",
        "\"num_hidden_layers\": 2|\"num_hidden_layers\": 3|missing: model.layers.2.|...",
        "\"num_hidden_layers\": 2|\"num_hidden_layers\": 2000000000|num_hidden_layers 2000000000",
        "\"intermediate_size\": 24|\"intermediate_size\": 2000000000|another shape|parameters",
        "\"vocab_size\": 61|\"vocab_size\": 2147483647|another shape|parameters",
        "\"vocab_size\": 61|\"vocab_size\": 61, \"vocab_size\": 61|not valid JSON|uplicate",
        "\"vocab_size\": 61|\"vocab_size\": |not valid JSON",
        "\"vocab_size\"|\"quantization_config\":{\"quant_method\":\"awq\"},\"vocab_size\"|awq"
            + "|fp8, mxfp4",
        "\"vocab_size\"|\"quantization_config\":{\"weight_block_size\":[128]},\"vocab_size\""
            + "|weight_block_size/1|missing",
        "\"vocab_size\"|\"quantization_config\":{\"weight_block_size\":[0,128]},\"vocab_size\""
            + "|weight_block_size/0 0|at least 1",
      })
  void configurationsThatDoNotFit(String old, String changed, String words) throws Exception {
    copy("hf/mixtral");
    Path config = dir.resolve("config.json");
    String json = Files.readString(config);
    assertThat(json).contains(old);
    Files.writeString(config, json.replace(old, changed == null ? "" : changed));
    refused(words.split("\\|"));
  }

  private void rewrite(UnaryOperator<List<Item>> change) {
    Path file = dir.resolve("model.safetensors");
    try (Scope scope = Scope.open()) {
      List<Item> items = new ArrayList<>();
      try (Safetensors in = Safetensors.open(file)) {
        in.names().forEach(n -> items.add(Item.of(n, in.load(n))));
      }
      SafetensorsWriter.writeFile(file, change.apply(items), Map.of());
    }
  }

  @Test
  void missingUnexpectedAndIntegerTensors() throws Exception {
    copy("hf/mixtral");
    rewrite(
        items -> {
          items.removeIf(i -> i.stored().name().equals("lm_head.weight"));
          return items;
        });
    refused("1 tensor missing: lm_head.weight");
    rewrite(
        items -> {
          items.add(Item.of("lm_head.weight", Tensor.zeros(61, 32).to(DType.I32)));
          items.add(Item.of("model.layers.0.self_attn.rotary_emb.inv_freq", Tensor.zeros(4)));
          return items;
        });
    refused("lm_head.weight", "I32", "floating-point");
    rewrite(
        items -> {
          items.removeIf(i -> i.stored().name().equals("lm_head.weight"));
          items.add(Item.of("lm_head.weight", Tensor.zeros(61, 32)));
          return items;
        });
    HfCheckpoint.load(dir).model().close();
  }

  /** Scales that do not fit the codes, are no numbers or stand for nothing. */
  @Test
  void scalesThatLie() throws Exception {
    copy("hf/mixtral");
    String weight = "model.layers.1.block_sparse_moe.experts.2.w2.weight";
    Tensor codes = Tensor.zeros(32, 24).to(DType.F8_E4M3);
    Path good = Files.copy(dir.resolve("model.safetensors"), dir.resolve("good"));
    scaled(weight, codes, Tensor.ones(2, 1));
    refused("tensor " + weight + "_scale_inv", "has shape [2, 1], expected [1, 1]");
    Files.copy(good, dir.resolve("model.safetensors"), REPLACE_EXISTING);
    scaled(weight, codes, Tensor.full(Double.NaN, DType.F32, Device.CPU, 1, 1));
    refused("tensor " + weight + "_scale_inv", "scale NaN");
    Files.copy(good, dir.resolve("model.safetensors"), REPLACE_EXISTING);
    rewrite(items -> with(items, Item.of("lm_head.weight_scale_inv", Tensor.ones(1, 1))));
    refused("tensor lm_head.weight", "expected F8_E4M3");
    Files.copy(good, dir.resolve("model.safetensors"), REPLACE_EXISTING);
    rewrite(items -> with(items, Item.of("nobody_scale_inv", Tensor.ones(1, 1))));
    refused("1 tensor unexpected: nobody_scale_inv");
  }

  private void scaled(String weight, Tensor codes, Tensor scales) {
    rewrite(
        items -> {
          items.removeIf(i -> i.stored().name().equals(weight));
          items.add(Item.of(weight, codes));
          return with(items, Item.of(weight + "_scale_inv", scales));
        });
  }

  private static List<Item> with(List<Item> items, Item more) {
    items.add(more);
    return items;
  }

  @Test
  void noCheckpointAtAll() throws IOException {
    refused("no config.json");
    Files.writeString(dir.resolve("config.json"), "[1]");
    refused("must be a JSON object");
    Files.writeString(dir.resolve("config.json"), "{\"model_type\":\"olmoe\"}");
    refused("neither model.safetensors");
    Files.writeString(dir.resolve("config.json"), "[".repeat(100_000));
    refused("not valid JSON");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      value = {
        "\"kind\" : \"moe\"|\"kind\" : \"x\"|feed_forward[1].kind x",
        "\"router\" : \"softmax-top-k\"|\"router\" : \"softmax-top\"|softmax-top-k",
        "\"rule\" : \"unlimited\"|\"rule\" : \"fraction\", \"fraction\": 7|capacity|7.0",
        "\"rule\" : \"unlimited\"|\"rule\" : \"other\"|feed_forward[1].capacity",
        "\"activation\" : \"GELU\"|\"activation\" : \"TANH\"|feed_forward[1].form",
        "\"gated\" : false|\"gatet\" : false|feed_forward[1].form|gatet",
        "\"norm\" : \"LAYER\"|\"norm\" : \"BATCH\"|norm",
        "\"dispatch\" : \"dropless\"|\"dispatch\" : \"magic\"|magic",
        "\"width\" : 40|\"width\" : 1.5|feed_forward[0].width 1.5",
      })
  void ourOwnLayoutIsCheckedToo(String old, String changed, String words) throws Exception {
    try (Decoder model = Tiny.model(Tiny.own(), 1)) {
      HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT);
    }
    Path config = dir.resolve("config.json");
    String json = Files.readString(config);
    assertThat(json).contains(old);
    Files.writeString(config, json.replaceFirst(Pattern.quote(old), changed));
    refused(words.split("\\|"));
  }
}
