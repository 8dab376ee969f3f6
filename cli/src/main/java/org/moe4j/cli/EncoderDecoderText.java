package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.moe4j.MoeConfig;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.hf.EncoderDecoderInspection;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What {@code moe inspect} prints of an encoder-decoder. */
final class EncoderDecoderText {
  /** The length of the text whose reads are told beforehand. */
  private static final int TEXT = 512;

  private EncoderDecoderText() {}

  static void text(EncoderDecoderInspection i, PrintWriter out) {
    EncoderDecoderConfig c = i.config();
    out.printf(Locale.ROOT, "model       %s (%s, %s)%n", i.folder(), i.layout(), i.dtype());
    out.printf(
        Locale.ROOT,
        "parameters  %,d, of which a token of the text and one of the answer meet %,d%n",
        i.parameters().total(),
        i.parameters().active());
    out.printf(
        Locale.ROOT,
        "blocks      %d of the encoder, %d of the decoder, width %d, %d heads of %d, %d tokens%n",
        c.encoder().size(),
        c.decoder().size(),
        c.hidden(),
        c.heads(),
        c.headDim(),
        c.vocab());
    sparse("encoder", c.encoder(), out);
    sparse("decoder", c.decoder(), out);
    for (Map.Entry<String, Long> e : i.bytes().entrySet()) {
      out.printf(Locale.ROOT, "bytes       %-16s %,15d%n", e.getKey(), e.getValue());
    }
    if (i.expertBytes() > 0) {
      out.printf(
          Locale.ROOT,
          "on demand   %,d bytes without experts; experts of %,d: up to %,d for %d tokens of a"
              + " text, %,d per token of an answer%n",
          i.residentBytes(),
          i.expertBytes(),
          i.bytesPerText(TEXT),
          TEXT,
          i.bytesPerToken());
    }
    i.contradictions().forEach(told -> out.println("config.json " + told));
  }

  private static void sparse(String side, List<FeedForwardConfig> blocks, PrintWriter out) {
    kinds(blocks)
        .forEach(
            (moe, which) ->
                out.printf(
                    Locale.ROOT,
                    "experts     %s blocks %s: top 1 of %d, width %d; router %s%n",
                    side,
                    which,
                    moe.experts(),
                    moe.expertWidth(),
                    moe.router()));
  }

  private static Map<MoeConfig, List<Integer>> kinds(List<FeedForwardConfig> blocks) {
    Map<MoeConfig, List<Integer>> kinds = new LinkedHashMap<>();
    for (int i = 0; i < blocks.size(); i++) {
      if (blocks.get(i) instanceof FeedForwardConfig.Moe(MoeConfig moe)) {
        kinds.computeIfAbsent(moe, m -> new ArrayList<>()).add(i);
      }
    }
    return kinds;
  }

  static void json(EncoderDecoderInspection i, ObjectNode json) {
    EncoderDecoderConfig c = i.config();
    json.put("model", i.folder().toString());
    json.put("layout", i.layout());
    json.put("dtype", i.dtype());
    json.put("params_total", i.parameters().total());
    json.put("params_active", i.parameters().active());
    json.put("encoder_layers", c.encoder().size());
    json.put("decoder_layers", c.decoder().size());
    json.put("hidden", c.hidden());
    json.put("heads", c.heads());
    json.put("head_dim", c.headDim());
    json.put("vocab", c.vocab());
    json.put("tied", c.tied());
    ArrayNode all = json.putArray("moe");
    json("encoder", c.encoder(), all);
    json("decoder", c.decoder(), all);
    ObjectNode sizes = json.putObject("bytes");
    i.bytes().forEach(sizes::put);
    json.put("bytes_resident", i.residentBytes());
    json.put("bytes_expert", i.expertBytes());
    json.put("bytes_per_token", i.bytesPerToken());
    ArrayNode told = json.putArray("contradictions");
    i.contradictions().forEach(told::add);
  }

  private static void json(String side, List<FeedForwardConfig> blocks, ArrayNode all) {
    kinds(blocks)
        .forEach(
            (moe, which) -> {
              ObjectNode kind = all.addObject();
              kind.put("stack", side);
              ArrayNode indices = kind.putArray("layers");
              which.forEach(indices::add);
              kind.put("experts", moe.experts());
              kind.put("top_k", 1);
              kind.put("expert_ffn", moe.expertWidth());
              kind.put("router", moe.router());
            });
  }
}
