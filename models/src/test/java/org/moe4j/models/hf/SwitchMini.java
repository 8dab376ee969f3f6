package org.moe4j.models.hf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.moe4j.Capacity;
import org.moe4j.ExpertForm;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.ParameterStore;
import org.moe4j.models.EncoderDecoder;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.PositionBuckets;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.StoredTensor;

/**
 * A small checkpoint with the quirks of google/switch-c-2048: every block sparse, an inner width
 * unlike the model's, an output projection of its own, a decoder of other depth in the
 * configuration, many shards in BF16.
 */
final class SwitchMini {
  static final int BLOCKS = 3;

  private SwitchMini() {}

  static EncoderDecoderConfig config(int d, int h, int experts, ExpertForm form) {
    MoeConfig moe =
        MoeConfig.builder(d, h, experts, 1).router("switch").form(form).init(InitScheme.T5).build();
    List<FeedForwardConfig> all =
        Collections.nCopies(BLOCKS, (FeedForwardConfig) new FeedForwardConfig.Moe(moe));
    return new EncoderDecoderConfig(
        100, d, 2, d / 2 - 3, PositionBuckets.T5, all, all, Capacity.NONE, 1e-6, false, 0);
  }

  /** Writes a random model of 100 tokens in {@code shards} files or about as many. */
  static void write(Path folder, EncoderDecoderConfig config, int shards) {
    ParameterStore store = new ParameterStore(new RandomSource(5), Device.CPU, DType.BF16);
    try (EncoderDecoder model = new EncoderDecoder(config, store)) {
      List<SafetensorsWriter.Item> items = new ArrayList<>();
      for (DiskTensor t : SwitchNames.of(model, "decoder.lm_head.weight").list()) {
        StoredTensor stored = new StoredTensor(t.name(), DType.BF16, t.shape());
        items.add(new SafetensorsWriter.Item(stored, t::tensor));
      }
      long bytes = 2 * config.parameters().total();
      SafetensorsWriter.writeFolder(folder, items, Map.of(), bytes / shards);
      describe(folder, config);
    }
  }

  /** Writes a {@code config.json} like the released one. */
  static void describe(Path folder, EncoderDecoderConfig config) {
    MoeConfig moe = config.encoder().getFirst().sparse().orElseThrow();
    String act = moe.form().gated() ? "gated-gelu" : "relu";
    String json =
        """
        {"model_type": "switch_transformers", "vocab_size": %d, "d_model": %d, "d_ff": %d,
         "d_kv": %d, "num_heads": %d, "num_layers": 3, "num_decoder_layers": 2,
         "num_sparse_encoder_layers": 3, "num_sparse_decoder_layers": 3, "num_experts": %d,
         "decoder_sparse_step": 0, "is_full_sparse": true, "expert_capacity": 64,
         "dense_act_fn": "%s", "eos_token_id": 1, "pad_token_id": 0}
        """
            .formatted(
                config.vocab(),
                config.hidden(),
                moe.expertWidth(),
                config.headDim(),
                config.heads(),
                moe.experts(),
                act);
    try {
      Files.writeString(folder.resolve("config.json"), json);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  static long files(Path folder) throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      return all.filter(p -> p.toString().endsWith(".safetensors")).count();
    }
  }
}
