// The backend that many products begin with: one INSERT a message, from a pool of connections.
'use strict';

const mqtt = require('mqtt');
const { Pool } = require('pg');

const env = process.env;
const pool = new Pool({ connectionString: env.BENCH_DATABASE });
const client = mqtt.connect(env.BENCH_BROKER, {
  clientId: env.BENCH_CLIENT_ID,
  username: env.BENCH_USERNAME,
  password: env.BENCH_PASSWORD,
});

client.on('connect', () => client.subscribe(env.BENCH_TOPIC, { qos: 1 }));

client.on('message', async (topic, payload) => {
  try {
    const reading = JSON.parse(payload.toString());
    await pool.query('INSERT INTO telemetry (device, payload) VALUES ($1, $2)', [
      topic.split('/')[2],
      reading,
    ]);
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
});
