package org.moe4j.train.data;

import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes the {@code tokenizer.json} of the Hugging Face tokenizers library, version 1.0. */
final class TokenizerJsonWriter {
  private static final JsonMapper JSON = new JsonMapper();

  private TokenizerJsonWriter() {}

  static void write(BpeTokenizer tokenizer, Path file) {
    Path target = file.toAbsolutePath();
    Path temporary = target.resolveSibling(target.getFileName() + ".part");
    try {
      try (FileChannel channel =
          FileChannel.open(
              temporary,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        byte[] json = JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(document(tokenizer));
        Channels.newOutputStream(channel).write(json);
        channel.force(true);
      }
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException | JacksonException e) {
      try {
        Files.deleteIfExists(temporary);
      } catch (IOException suppressed) {
        e.addSuppressed(suppressed);
      }
      throw new MoeException(file + ": the tokenizer cannot be written: " + e, e);
    }
  }

  private static ObjectNode document(BpeTokenizer tokenizer) {
    ObjectNode root = JSON.createObjectNode();
    root.put("version", "1.0");
    root.putNull("truncation");
    root.putNull("padding");
    ArrayNode added = root.putArray("added_tokens");
    for (AddedToken token : tokenizer.added()) {
      added
          .addObject()
          .put("id", token.id())
          .put("content", token.content())
          .put("single_word", false)
          .put("lstrip", false)
          .put("rstrip", false)
          .put("normalized", false)
          .put("special", token.special());
    }
    root.putNull("normalizer");
    byteLevel(root.putObject("pre_tokenizer"));
    root.putNull("post_processor");
    byteLevel(root.putObject("decoder"));
    ObjectNode model = root.putObject("model");
    model.put("type", "BPE");
    model.putNull("dropout");
    model.putNull("unk_token");
    model.putNull("continuing_subword_prefix");
    model.putNull("end_of_word_suffix");
    model.put("fuse_unk", false);
    model.put("byte_fallback", false);
    model.put("ignore_merges", false);
    String[] spelled = spelling(tokenizer);
    ObjectNode vocab = model.putObject("vocab");
    for (int id = 0; id < spelled.length; id++) {
      vocab.put(spelled[id], id);
    }
    ArrayNode merges = model.putArray("merges");
    for (Merge merge : tokenizer.merges()) {
      // The older of the two accepted forms, which every version reads: no token has a space.
      merges.add(spelled[merge.left()] + " " + spelled[merge.right()]);
    }
    return root;
  }

  private static void byteLevel(ObjectNode node) {
    node.put("type", "ByteLevel");
    node.put("add_prefix_space", false);
    node.put("trim_offsets", true);
    node.put("use_regex", true);
  }

  private static String[] spelling(BpeTokenizer tokenizer) {
    String[] spelled = new String[tokenizer.vocabSize()];
    for (int id = 0; id < spelled.length; id++) {
      spelled[id] = ByteAlphabet.spell(tokenizer.tokens().get(id));
    }
    for (AddedToken token : tokenizer.added()) {
      spelled[token.id()] = token.content();
    }
    return spelled;
  }
}
