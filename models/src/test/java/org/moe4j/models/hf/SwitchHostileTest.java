package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.hf.HfEncoderDecoder.LoadOptions;
import org.moe4j.models.hf.HfEncoderDecoder.Loaded;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.SafetensorsWriter.Item;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Encoder-decoders that do not fit together: one line that names the file and what is wrong. */
class SwitchHostileTest {
  private static final String EXPERT = "encoder.block.1.layer.1.mlp.experts.expert_2.wi.weight";

  @TempDir Path dir;

  private void copy(String setting) throws IOException {
    try (Stream<Path> files = Files.list(SwitchFixture.folder(setting))) {
      for (Path file : files.filter(f -> !f.toString().contains("expected")).toList()) {
        Files.copy(file, dir.resolve(file.getFileName().toString()));
      }
    }
  }

  private static void oneLine(ThrowingCallable code, String... words) {
    assertThatThrownBy(code)
        .isInstanceOf(MoeException.class)
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"))
        .satisfies(e -> assertThat(words).allSatisfy(w -> assertThat(e.getMessage()).contains(w)));
  }

  private void refused(String... words) {
    for (LoadOptions options :
        List.of(LoadOptions.DEFAULT, LoadOptions.DEFAULT.withExpertsOnDemand(0))) {
      oneLine(() -> HfEncoderDecoder.load(dir, options).close(), words);
    }
    oneLine(() -> HfEncoderDecoder.load(dir).close(), dir.toString());
  }

  private void edit(String old, String changed) throws IOException {
    Path config = dir.resolve("config.json");
    String json = Files.readString(config);
    assertThat(json).contains(old);
    Files.writeString(config, json.replace(old, changed));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      value = {
        "\"switch_transformers\"|\"t5\"|model_type t5",
        "\"dense_act_fn\": \"relu\"|\"dense_act_fn\": \"tanh\"|dense_act_fn tanh",
        "\"dense_act_fn\": \"relu\"|\"dense_act_fn\": \"gated-gelu\"|not gated (wi)",
        "\"router_dtype\": \"float32\"|\"router_dtype\": \"int8\"|router_dtype int8",
        "\"router_jitter_noise\": 0.01|\"router_jitter_noise\": 1|router_jitter_noise 1.0",
        "\"expert_capacity\": 64|\"expert_capacity\": 0|expert_capacity 0",
        "\"layer_norm_epsilon\": 1e-06|\"layer_norm_epsilon\": 0|layer_norm_epsilon 0.0",
        "\"decoder_start_token_id\": 0|\"decoder_start_token_id\": 64|decoder_start_token_id 64",
        "_max_distance\": 128|_max_distance\": 16|relative_attention_max_distance 16",
        "\"num_layers\": 2|\"num_layers\": \"two\"|num_layers two",
        "\"num_layers\": 2|\"num_layers\": 2, \"num_layers\": 2|not valid JSON",
        "\"tie_word_embeddings\": true|\"tie_word_embeddings\": 1|tie_word_embeddings 1",
      })
  void configurationsThatDoNotFit(String old, String changed, String words) throws IOException {
    copy("base");
    edit(old, changed);
    refused("config.json", words);
  }

  /** By default the tensors are right; strictly, both values are named. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"num_decoder_layers\": 2|\"num_decoder_layers\": 9|num_decoder_layers is 9, by the"
            + " tensors 2",
        "\"num_layers\": 2|\"num_layers\": 2000000000|num_layers is 2000000000, by the tensors 2",
        "\"vocab_size\": 64|\"vocab_size\": 2147483647|vocab_size is 2147483647, by the tensors 64",
        "\"d_model\": 16|\"d_model\": 17|d_model is 17, by the tensors 16",
        "\"d_ff\": 20|\"d_ff\": 19|d_ff is 19, by the tensors 20",
        "\"d_kv\": 8|\"d_kv\": 4|d_kv is 4, by the tensors 8",
        "\"num_heads\": 2|\"num_heads\": 3|num_heads is 3, by the tensors 2",
        "\"num_experts\": 4|\"num_experts\": 128|num_experts is 128, by the tensors 4",
        "_num_buckets\": 32|_num_buckets\": 16|num_buckets is 16, by the tensors 32",
        "\"num_sparse_encoder_layers\": 1|\"num_sparse_encoder_layers\": 2|makes the encoder"
            + " blocks [0, 1] sparse, by the tensors they are [1]",
        "\"tie_word_embeddings\": true|\"tie_word_embeddings\": false|tie_word_embeddings is"
            + " false, by the tensors it is true",
        "\"router_bias\": false|\"router_bias\": true|router_bias is true, by the tensors false",
      })
  void contradictionsAreToldOrRefused(String old, String changed, String words) throws IOException {
    copy("base");
    edit(old, changed);
    try (Loaded loaded = HfEncoderDecoder.load(dir)) {
      assertThat(loaded.contradictions()).anySatisfy(c -> assertThat(c).contains(words));
    }
    LoadOptions strict = LoadOptions.DEFAULT.strictly();
    oneLine(
        () -> HfEncoderDecoder.load(dir, strict).close(),
        dir.resolve("config.json").toString(),
        "contradicts the tensors",
        words);
  }

  private void rewrite(Consumer<List<Item>> change) throws IOException {
    Path file = dir.resolve("model.safetensors");
    try (Stream<Path> old = Files.list(dir)) {
      for (Path p : old.toList()) {
        Files.delete(p);
      }
    }
    copy("base");
    try (Scope scope = Scope.open()) {
      List<Item> items = new ArrayList<>();
      try (Safetensors in = Safetensors.open(file)) {
        in.names().forEach(n -> items.add(Item.of(n, in.load(n))));
      }
      change.accept(items);
      SafetensorsWriter.writeFile(file, items, Map.of());
    }
  }

  private static void replace(List<Item> items, String name, Tensor by) {
    assertThat(items.removeIf(i -> i.stored().name().equals(name))).isTrue();
    items.add(Item.of(name, by));
  }

  private static void drop(List<Item> items, String start) {
    assertThat(items.removeIf(i -> i.stored().name().startsWith(start))).isTrue();
  }

  @Test
  void tensorsThatAreMissingUnexpectedOrOfAnotherShape() throws IOException {
    rewrite(items -> drop(items, EXPERT));
    refused("1 tensor missing: " + EXPERT);
    rewrite(items -> drop(items, "encoder.block.1.layer.1.mlp.router"));
    refused("1 tensor missing: encoder.block.1.layer.1.mlp.router.classifier.weight");
    rewrite(items -> drop(items, "shared"));
    refused("1 tensor missing: shared.weight");
    rewrite(items -> drop(items, "encoder.block.0."));
    refused("1 encoder blocks, numbered up to 1", "shard");
    rewrite(items -> drop(items, "decoder.block."));
    refused("no tensors of decoder blocks");
    rewrite(items -> items.add(Item.of("encoder.block.0.other", Tensor.zeros(2))));
    refused("1 tensor unexpected: encoder.block.0.other");
    rewrite(items -> items.add(Item.of("encoder.block.9999.other", Tensor.zeros(2))));
    refused("3 encoder blocks, numbered up to 9999");
    rewrite(items -> replace(items, EXPERT, Tensor.zeros(16, 20)));
    refused(EXPERT + " is F32[16, 20]", "[20, 16]");
    rewrite(items -> replace(items, EXPERT, Tensor.zeros(20, 16).to(DType.I32)));
    refused(EXPERT, "I32", "floating-point");
    rewrite(items -> replace(items, "shared.weight", Tensor.zeros(64)));
    refused("shared.weight is [64], must be a matrix");
    String router = "decoder.block.1.layer.2.mlp.router.classifier.weight";
    rewrite(items -> replace(items, router, Tensor.zeros(5, 16)));
    refused("2 tensors missing", "expert_4.wi.weight");
    rewrite(items -> replace(items, router, Tensor.zeros(100_000, 16)));
    refused("100000 experts, but there are");
    String bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    rewrite(items -> replace(items, bias, Tensor.zeros(32, 3)));
    refused("width 16 does not divide into 3 heads");
  }

  @Test
  void copiesOfTheEmbedding() throws IOException {
    for (String alias : List.of("encoder.embed_tokens.weight", "lm_head.weight")) {
      rewrite(items -> items.add(Item.of(alias, shared(items))));
      try (Loaded loaded = HfEncoderDecoder.load(dir)) {
        assertThat(loaded.model().config().tied()).isTrue();
        assertThat(loaded.contradictions()).isEmpty();
      }
    }
    rewrite(items -> items.add(Item.of("decoder.embed_tokens.weight", Tensor.zeros(64, 16))));
    refused("decoder.embed_tokens.weight is not shared.weight");
    rewrite(items -> items.add(Item.of("lm_head.weight", Tensor.ones(64, 16))));
    try (Loaded loaded = HfEncoderDecoder.load(dir)) {
      assertThat(loaded.model().config().tied()).isFalse();
      assertThat(loaded.model().head().tensor().toFloats()).containsOnly(1f);
      assertThat(loaded.contradictions())
          .containsExactly("tie_word_embeddings is true, by the tensors it is false");
    }
  }

  private static Tensor shared(List<Item> items) {
    return items.stream()
        .filter(i -> i.stored().name().equals("shared.weight"))
        .findFirst()
        .orElseThrow()
        .pieces()
        .getFirst()
        .get();
  }

  @Test
  void filesThatAreMissingOrCut() throws IOException {
    copy("shards");
    Path shard = dir.resolve("pytorch_model-00003-of-00009.bin");
    byte[] bytes = Files.readAllBytes(shard);
    Files.write(shard, Arrays.copyOf(bytes, bytes.length / 2));
    refused(shard.toString());
    Files.delete(shard);
    refused(shard.getFileName().toString());
    Files.delete(dir.resolve("pytorch_model.bin.index.json"));
    refused("neither model.safetensors");
    Files.delete(dir.resolve("config.json"));
    refused("no config.json");
  }

  @Test
  void idsAndMasksThatDoNotFit() {
    try (Scope scope = Scope.open();
        Loaded loaded = HfEncoderDecoder.load(SwitchFixture.folder("base"))) {
      EncoderDecoder model = loaded.model();
      Tensor text = Tensor.of(new long[] {3, 4}, 1, 2);
      oneLine(() -> model.encode(Tensor.of(new long[] {64}, 1, 1)), "token id 64", "64");
      oneLine(() -> model.encode(Tensor.of(new long[] {-1}, 1, 1)), "token id -1");
      oneLine(() -> model.encode(Tensor.zeros(1, 2)), "I64[sequences, length]");
      oneLine(() -> model.encode(text, Tensor.zeros(1, 2)), "has no token");
      oneLine(() -> model.encode(text, Tensor.ones(1, 3)), "mask");
      oneLine(() -> model.forward(text, Tensor.of(new long[] {0, 0}, 2, 1)), "2 answers to 1");
      try (var reading = model.reading(model.encode(text), 1)) {
        reading.next(Tensor.of(new long[] {0}, 1, 1));
        oneLine(() -> reading.next(Tensor.of(new long[] {0}, 1, 1)), "cache is full");
      }
    }
  }
}
