package org.moe4j.tensor;

import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/** Reads JSON of unknown origin: UTF-8 only, no duplicate keys, little nesting, one document. */
final class StrictJson implements AutoCloseable {
  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(16)
                  .maxNameLength(4096)
                  .maxStringLength(1 << 20)
                  .maxNumberLength(32)
                  .build())
          .build();

  /** What a reader does with a document; anything it throws itself names the place. */
  @FunctionalInterface
  interface Body {
    void read(StrictJson json);
  }

  private final JsonParser parser;
  private final String where;

  private StrictJson(JsonParser parser, String where) {
    this.parser = parser;
    this.where = where;
  }

  /**
   * Reads one document.
   *
   * @param where what to call the document in messages
   * @throws MoeException if it is not JSON of this kind
   */
  static void read(byte[] utf8, String where, Body body) {
    Reader reader =
        new InputStreamReader(
            new ByteArrayInputStream(utf8),
            StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT));
    try (StrictJson json =
        new StrictJson(FACTORY.createParser(ObjectReadContext.empty(), reader), where)) {
      body.read(json);
      if (json.parser.nextToken() != null) {
        throw json.failure("more text after the JSON document");
      }
    } catch (JacksonException e) {
      throw new MoeException(where + ": not valid UTF-8 JSON: " + firstLine(e), e);
    }
  }

  private static String firstLine(JacksonException e) {
    String message = e.getOriginalMessage();
    return Names.shown(message == null ? "unreadable" : message.lines().findFirst().orElse(""));
  }

  /** Steps to the next token, which must be an object's start. */
  void objectStart(String what) {
    expect(parser.nextToken(), JsonToken.START_OBJECT, what, "an object");
  }

  /** The next key of the current object, or false at its end. */
  boolean nextKey() {
    return parser.nextToken() == JsonToken.PROPERTY_NAME;
  }

  /** The key that {@link #nextKey} stepped to. */
  String key() {
    return parser.currentName();
  }

  String string(String what) {
    expect(parser.nextToken(), JsonToken.VALUE_STRING, what, "a string");
    return parser.getString();
  }

  void arrayStart(String what) {
    expect(parser.nextToken(), JsonToken.START_ARRAY, what, "an array");
  }

  /** Steps into the array's next element; false at the array's end. */
  boolean nextElement() {
    return parser.nextToken() != JsonToken.END_ARRAY;
  }

  /** The current element as a whole number of at least 0. */
  long natural(String what) {
    expect(parser.currentToken(), JsonToken.VALUE_NUMBER_INT, what, "a whole number");
    long value = parser.getLongValue();
    if (value < 0) {
      throw failure(what + " is negative: " + value);
    }
    return value;
  }

  /** Passes over the value of the current key. */
  void skipValue() {
    parser.nextToken();
    parser.skipChildren();
  }

  private void expect(JsonToken found, JsonToken wanted, String what, String described) {
    if (found != wanted) {
      throw failure(what + " must be " + described);
    }
  }

  MoeException failure(String problem) {
    return new MoeException(where + ": " + problem);
  }

  @Override
  public void close() {
    parser.close();
  }
}
