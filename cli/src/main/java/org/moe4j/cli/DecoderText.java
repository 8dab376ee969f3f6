package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import java.util.Map;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.ParameterCount;
import org.moe4j.train.inspect.Figures;
import org.moe4j.train.inspect.Inspection;
import org.moe4j.train.inspect.RoutingWords;

/** What {@code moe inspect} prints of a decoder. */
final class DecoderText {
  private static final int LABEL = 10;

  private DecoderText() {}

  static void text(Inspection i, PrintWriter out) {
    DecoderConfig c = i.config();
    TextTable table = new TextTable(LABEL);
    table.row("model", i.folder() + " (" + i.layout() + ", " + i.dtype() + ")");
    table.row("parameters", parameters(c.parameters(), "a token meets"));
    table.row(
        "decoder",
        String.format(
            Locale.ROOT,
            "%,d layers, width %,d, %,d tokens, up to %,d positions",
            c.layers(),
            c.hidden(),
            c.vocab(),
            c.maxPositions()));
    table.row("", i.blocks());
    row("attention", i.attention(), table);
    i.windows()
        .forEach(
            (length, layers) ->
                table.row(
                    "", "sliding window of " + Figures.of(length) + ": " + Figures.layers(layers)));
    i.dense()
        .forEach(
            (half, layers) ->
                table.row("dense", Figures.layers(layers) + ": " + Inspection.words(half)));
    i.sparse()
        .forEach(
            (moe, layers) -> {
              table.row("experts", Figures.layers(layers) + ": " + RoutingWords.experts(moe));
              table.row("routing", RoutingWords.routing(moe));
              RoutingWords.capacity(moe.capacity()).ifPresent(c2 -> table.row("capacity", c2));
            });
    bytes(i.bytes(), table);
    if (i.ignored() > 0) {
      table.row(
          "not read",
          String.format(
              Locale.ROOT,
              "%,d tensors, %,d bytes, that are no part of the decoder",
              i.ignored(),
              i.ignoredBytes()));
    }
    table.print(out, 0);
  }

  private static void row(String label, Iterable<String> sentences, TextTable table) {
    String left = label;
    for (String sentence : sentences) {
      table.row(left, sentence);
      left = "";
    }
  }

  /** For instance {@code 7,241,732,096, of which a token meets 1,279,887,360 (17.7%)}. */
  static String parameters(ParameterCount count, String who) {
    return String.format(
        Locale.ROOT,
        "%,d, of which %s %,d (%.1f%%)",
        count.total(),
        who,
        count.active(),
        100.0 * count.active() / count.total());
  }

  /** Bytes by role, each with its share of all. */
  static void bytes(Map<String, Long> bytes, TextTable table) {
    double total = Math.max(1, bytes.getOrDefault("total", 1L));
    bytes.forEach(
        (role, size) ->
            table.row(
                "bytes",
                String.format(
                        Locale.ROOT, "%-16s %,19d  %5.1f%%", role, size, 100 * (double) size / total)
                    .replace(' ', TextTable.NO_BREAK)));
  }
}
