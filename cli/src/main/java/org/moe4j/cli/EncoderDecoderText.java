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
import org.moe4j.train.inspect.Figures;
import org.moe4j.train.inspect.Inspection;
import org.moe4j.train.inspect.RoutingWords;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What {@code moe inspect} prints of an encoder-decoder. */
final class EncoderDecoderText {
  private static final int LABEL = 10;

  /** The length of the text whose reads are told beforehand. */
  private static final int TEXT = 512;

  private EncoderDecoderText() {}

  static void text(EncoderDecoderInspection i, PrintWriter out) {
    EncoderDecoderConfig c = i.config();
    TextTable table = new TextTable(LABEL);
    table.row("model", i.folder() + " (" + i.layout() + ", " + i.dtype() + ")");
    table.row(
        "parameters",
        DecoderText.parameters(i.parameters(), "a token of the text and one of the answer meet"));
    table.row(
        "blocks",
        String.format(
            Locale.ROOT,
            "%,d of the encoder, %,d of the decoder, width %,d, %,d tokens",
            c.encoder().size(),
            c.decoder().size(),
            c.hidden(),
            c.vocab()));
    table.row(
        "", "RMS norms; " + (c.tied() ? "output tied to the embedding" : "output of its own"));
    table.row(
        "attention",
        String.format(
            Locale.ROOT,
            "multi-head: %,d heads of %,d; relative positions in %,d buckets up to distance %,d",
            c.heads(),
            c.headDim(),
            c.positions().buckets(),
            c.positions().maxDistance()));
    feedForward("encoder", c.encoder(), table);
    feedForward("decoder", c.decoder(), table);
    RoutingWords.capacity(c.capacity()).ifPresent(most -> table.row("capacity", most));
    DecoderText.bytes(i.bytes(), table);
    if (i.expertBytes() > 0) {
      table.row(
          "on demand",
          String.format(
              Locale.ROOT,
              "%,d bytes without experts; experts of %,d: up to %,d for %d tokens of a text, %,d"
                  + " per token of an answer",
              i.residentBytes(),
              i.expertBytes(),
              i.bytesPerText(TEXT),
              TEXT,
              i.bytesPerToken()));
    }
    i.contradictions().forEach(told -> table.row("config", told));
    table.print(out, 0);
  }

  private static void feedForward(
      String side, List<FeedForwardConfig> blocks, TextTable table) {
    kinds(blocks)
        .forEach(
            (half, which) -> {
              String where = side + " " + Figures.layers(which) + ": ";
              switch (half) {
                case FeedForwardConfig.Dense d -> table.row("dense", where + Inspection.words(d));
                case FeedForwardConfig.Moe(MoeConfig moe) -> {
                  table.row("experts", where + RoutingWords.experts(moe));
                  table.row("routing", RoutingWords.routing(moe));
                }
              }
            });
  }

  private static Map<FeedForwardConfig, List<Integer>> kinds(List<FeedForwardConfig> blocks) {
    Map<FeedForwardConfig, List<Integer>> kinds = new LinkedHashMap<>();
    for (int i = 0; i < blocks.size(); i++) {
      kinds.computeIfAbsent(blocks.get(i), half -> new ArrayList<>()).add(i);
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
    json.put("position_buckets", c.positions().buckets());
    json.put("position_max_distance", c.positions().maxDistance());
    json.put("decoder_start", c.start());
    ArrayNode all = json.putArray("moe");
    json("encoder", c.encoder(), c, all);
    json("decoder", c.decoder(), c, all);
    ObjectNode sizes = json.putObject("bytes");
    i.bytes().forEach(sizes::put);
    json.put("bytes_resident", i.residentBytes());
    json.put("bytes_expert", i.expertBytes());
    json.put("bytes_per_token", i.bytesPerToken());
    ArrayNode told = json.putArray("contradictions");
    i.contradictions().forEach(told::add);
  }

  private static void json(
      String side, List<FeedForwardConfig> blocks, EncoderDecoderConfig c, ArrayNode all) {
    kinds(blocks)
        .forEach(
            (half, which) ->
                half.sparse()
                    .ifPresent(
                        moe -> {
                          ObjectNode kind = all.addObject();
                          kind.put("stack", side);
                          which.forEach(kind.putArray("layers")::add);
                          RoutingWords.write(moe, c.capacity(), kind);
                        }));
  }
}
