package org.moe4j.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.GgufWriter;
import org.moe4j.engine.gguf.GgufWriter.Item;
import org.moe4j.train.config.TrainingConfig;

/**
 * What a start of the command line goes through, without its output. The launcher runs it after a
 * build, so that the JVM can archive the classes it loads.
 */
final class Rehearsal {
  private static final int WIDTH = 64;
  private static final int TOKENS = 259;

  private Rehearsal() {}

  /**
   * Without arguments: the help of every command, a wrong usage and a configuration. With one: text
   * from a tiny GGUF file.
   */
  public static void main(String[] args) throws IOException {
    PrintWriter nowhere = StandardStreams.writer(OutputStream.nullOutputStream());
    if (args.length > 0) {
      generate(nowhere);
      return;
    }
    Moe.run(Moe.COMMANDS, nowhere, nowhere, "--help");
    Moe.run(Moe.COMMANDS, nowhere, nowhere, "no-such-command");
    for (Class<?> command : Moe.COMMANDS) {
      Moe.run(Moe.COMMANDS, nowhere, nowhere, Moe.name(command), "--help");
    }
    nowhere.println(TrainingConfig.defaults().with(List.of("train.steps=1")).toToml());
  }

  private static void generate(PrintWriter nowhere) throws IOException {
    Path folder = Files.createTempDirectory("moe4j");
    Path model = folder.resolve("tiny.gguf");
    try {
      GgufWriter.write(model, metadata(), items(), done -> {});
      String file = model.toString();
      String[] text = {"generate", file, "--prompt", "a b", "--max-tokens", "4"};
      String[] json = {"generate", file, "--prompt", "a b", "--temperature", "1", "--json"};
      int failed =
          Moe.run(Moe.COMMANDS, nowhere, nowhere, text)
              + Moe.run(Moe.COMMANDS, nowhere, nowhere, json);
      if (failed != 0) {
        throw new IllegalStateException("the rehearsal failed");
      }
    } finally {
      Files.deleteIfExists(model);
      Files.deleteIfExists(folder);
    }
  }

  private static Map<String, Object> metadata() {
    String[] tokens = new String[TOKENS];
    long[] types = new long[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      tokens[i] = i < 3 ? List.of("<unk>", "<s>", "</s>").get(i) : "<0x%02X>".formatted(i - 3);
      types[i] = i < 3 ? 3 : 6;
    }
    Map<String, Object> metadata = new LinkedHashMap<>();
    metadata.put("general.architecture", "llama");
    metadata.put("llama.context_length", 64L);
    metadata.put("llama.embedding_length", (long) WIDTH);
    metadata.put("llama.block_count", 1L);
    metadata.put("llama.feed_forward_length", (long) WIDTH);
    metadata.put("llama.attention.head_count", 2L);
    metadata.put("llama.attention.layer_norm_rms_epsilon", 1e-5);
    metadata.put("llama.expert_count", 2L);
    metadata.put("llama.expert_used_count", 1L);
    metadata.put("tokenizer.ggml.model", "llama");
    metadata.put("tokenizer.ggml.tokens", tokens);
    metadata.put("tokenizer.ggml.scores", new double[TOKENS]);
    metadata.put("tokenizer.ggml.token_type", types);
    return metadata;
  }

  private static List<Item> items() {
    List<Item> items = new ArrayList<>();
    items.add(item("token_embd.weight", GgmlType.Q4_0, WIDTH, TOKENS));
    items.add(item("output.weight", GgmlType.Q4_0, WIDTH, TOKENS));
    items.add(item("output_norm.weight", GgmlType.F32, WIDTH));
    for (String norm : List.of("attn_norm", "ffn_norm")) {
      items.add(item("blk.0." + norm + ".weight", GgmlType.F32, WIDTH));
    }
    for (String matrix : List.of("attn_q", "attn_k", "attn_v", "attn_output")) {
      items.add(item("blk.0." + matrix + ".weight", GgmlType.Q4_0, WIDTH, WIDTH));
    }
    items.add(item("blk.0.ffn_gate_inp.weight", GgmlType.F32, WIDTH, 2));
    for (String matrix : List.of("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")) {
      items.add(item("blk.0." + matrix + ".weight", GgmlType.Q4_0, WIDTH, WIDTH, 2));
    }
    return items;
  }

  private static Item item(String name, GgmlType type, long... shape) {
    return new Item(
        name,
        type,
        shape,
        (row, into) -> {
          for (int i = 0; i < into.length; i++) {
            into[i] = ((row * 31 + i * 7L) % 13 - 6) * 0.05f;
          }
        });
  }
}
